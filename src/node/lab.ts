// src/node/lab.ts: a lab from a file.

import { readFile } from "node:fs/promises";
import { LabText } from "../lab/read.ts";
import { FileError } from "./files.ts";

/** Reads and checks the shape of a lab; a file that cannot be read is a FileError, a wrong one a LabError. */
export async function readLabFile(path: string): Promise<LabText> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (e) {
    throw new FileError(path, (e as NodeJS.ErrnoException).code ?? "EIO");
  }
  return LabText.read(path, text);
}
