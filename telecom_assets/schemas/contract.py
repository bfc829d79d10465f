"""The vocabulary in which the contracts of the sibling modules are written: the same type that the resources read."""

from resources.contract import Column, TableContract

__all__ = ["Column", "TableContract"]
