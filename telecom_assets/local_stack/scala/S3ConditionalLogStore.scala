package telecom.storage

import java.io.{ByteArrayOutputStream, FileNotFoundException, IOException}
import java.lang.{Boolean => JavaBoolean}
import java.nio.charset.StandardCharsets.UTF_8
import java.nio.file.FileAlreadyExistsException
import java.util.{Arrays, Iterator => JavaIterator}

import io.delta.storage.S3SingleDriverLogStore
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FileSystem, Path}
import org.apache.hadoop.io.IOUtils

/** Delta's log on S3, where a commit never takes the place of another, whoever made that one.
  *
  * Delta's own class for S3 looks whether the entry is there, and then puts it: a commit that another process makes in
  * between is overwritten. This one asks the server to put the entry only where there is none (`If-None-Match: *`, S3A
  * since Hadoop 3.4.2), as delta-rs does.
  */
class S3ConditionalLogStore(configuration: Configuration) extends S3SingleDriverLogStore(configuration) {

  override def write(path: Path, actions: JavaIterator[String], overwrite: JavaBoolean, conf: Configuration): Unit =
    if (overwrite) super.write(path, actions, overwrite, conf)
    else {
      val content = new ByteArrayOutputStream
      actions.forEachRemaining(action => content.write((action + "\n").getBytes(UTF_8)))
      putIfAbsent(path.getFileSystem(conf), path, content.toByteArray)
    }

  /** An answer can be lost after the entry was put, and the next try then finds the entry of the first: a commit has a
    * random id in it, so an entry with the same bytes is this one.
    */
  private def putIfAbsent(files: FileSystem, path: Path, content: Array[Byte]): Unit =
    try put(files, path, content)
    catch {
      case failure: IOException =>
        stored(files, path) match {
          case Some(found) if Arrays.equals(found, content) => ()
          case Some(_) => throw new FileAlreadyExistsException(path.toString)
          case None => throw failure
        }
    }

  private def put(files: FileSystem, path: Path, content: Array[Byte]): Unit = {
    val builder = files.createFile(path)
    builder.recursive()
    builder.must("fs.option.create.conditional.overwrite", true)
    val stream = builder.build()
    try stream.write(content)
    catch {
      case failure: IOException =>
        stream.abort() // closing would put what there is of it
        throw failure
    }
    stream.close()
  }

  private def stored(files: FileSystem, path: Path): Option[Array[Byte]] =
    try {
      val stream = files.open(path)
      try {
        val found = new ByteArrayOutputStream
        IOUtils.copyBytes(stream, found, 65536)
        Some(found.toByteArray)
      } finally stream.close()
    } catch {
      case _: FileNotFoundException => None
    }
}
