"use strict";
// Draws every chart of the JSON block, each into the element of its name. `ast`: expressions are interpreted, never
// evaluated as text, so that the page's content security policy can forbid evaluation.
(async () => {
  const specs = JSON.parse(document.getElementById("chart-specs").textContent);
  const options = { mode: "vega-lite", renderer: "svg", actions: false, ast: true, tooltip: { theme: "plain" } };
  let failed = 0;
  for (const [name, spec] of Object.entries(specs)) {
    const place = document.getElementById(`chart-${name}`);
    try {
      await window.vegaEmbed(place, spec, options);
    } catch (error) {
      failed += 1;
      place.textContent = "This chart could not be drawn. Its figures are in the table below.";
      console.error(`chart ${name}:`, error);
    }
  }
  document.body.dataset.charts = failed ? "failed" : "drawn";
})();
