// src/lab/read.ts: YAML text to a lab, with the place of everything that is wrong in it.

import { type Path, PlaceError, type YamlKind, YamlText } from "../host/yamltext.ts";
import { type LabFile, labSchema } from "./schema.ts";

export type { Path };

/** `file:line:column: what is wrong, what was expected` */
export class LabError extends PlaceError {}

const kind: YamlKind = {
  whole: "the lab",
  expected: "a lab with `nodes:`",
  error: (file, line, column, what) => new LabError(file, line, column, what),
};

/** A lab that has its shape, and knows where each of its parts stands in the file. */
export class LabText extends YamlText {
  readonly file: LabFile;

  private constructor(name: string, text: string) {
    super(name, text, kind);
    this.file = this.check(labSchema);
  }

  /** The comment lines before the first key. */
  get headComment(): string {
    const head = /^(\s*#[^\n]*\n|\s*\n)*/.exec(this.text);
    return head === null ? "" : head[0];
  }

  /** Reads YAML (or JSON); throws `LabError`. `name` is what errors call the file. */
  static read(name: string, text: string): LabText {
    return new LabText(name, text);
  }
}
