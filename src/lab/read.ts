// src/lab/read.ts: YAML text to a lab, with the place of everything that is wrong in it.

import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node as YamlNode, parseDocument, type Scalar } from "yaml";
import { TextError } from "../host/text.ts";
import { type LabFile, labSchema } from "./schema.ts";

/** `file:line:column: what is wrong, what was expected` */
export class LabError extends Error {
  constructor(
    readonly file: string,
    readonly line: number,
    readonly column: number,
    what: string,
  ) {
    super(`${file}:${line}:${column}: ${what}`);
  }
}

export type Path = readonly (string | number)[];

/** A lab that has its shape, and knows where each of its parts stands in the file. */
export class LabText {
  private constructor(
    readonly name: string,
    readonly file: LabFile,
    private readonly root: YamlNode | null,
    private readonly lines: LineCounter,
    private readonly text: string,
  ) {}

  /** The comment lines before the first key. */
  get headComment(): string {
    const head = /^(\s*#[^\n]*\n|\s*\n)*/.exec(this.text);
    return head === null ? "" : head[0];
  }

  /** Reads YAML (or JSON); throws `LabError`. `name` is what errors call the file. */
  static read(name: string, text: string): LabText {
    const lines = new LineCounter();
    const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
    const wrong = doc.errors[0];
    if (wrong !== undefined) {
      const { line, col } = lines.linePos(wrong.pos[0]);
      throw new LabError(name, line, col, wrong.message);
    }
    const bare = new LabText(name, { nodes: {} }, doc.contents as YamlNode | null, lines, text);
    const checked = labSchema.safeParse(doc.toJS({ maxAliasCount: 100 }) ?? {});
    if (!checked.success) {
      const issue = checked.error.issues[0]!;
      let path = issue.path as (string | number)[];
      let message = describe(issue as unknown as Issue);
      if (issue.code === "unrecognized_keys") {
        path = [...path, issue.keys[0]!];
        throw bare.errorAtKey(path, message);
      }
      if (path.length === 0 && doc.contents === null) message = "the file is empty, expected a lab with `nodes:`";
      throw bare.error(path, message);
    }
    return new LabText(name, checked.data, bare.root, lines, text);
  }

  /** An error at the value of `path`. */
  error(path: Path, what: string): LabError {
    return this.at(this.find(path), what);
  }

  /** An error at the key of `path`. */
  errorAtKey(path: Path, what: string): LabError {
    const parent = this.find(path.slice(0, -1));
    if (isMap(parent)) {
      const pair = parent.items.find((p) => isScalar(p.key) && String(p.key.value) === String(path[path.length - 1]));
      if (pair !== undefined) return this.at(pair.key as YamlNode, what);
    }
    return this.at(parent, what);
  }

  /** Runs `read` on the string at `path`; a `TextError` of its becomes a `LabError` at the right line and column. */
  within<T>(path: Path, read: () => T): T {
    try {
      return read();
    } catch (e) {
      if (!(e instanceof TextError)) {
        if (e instanceof LabError || !(e instanceof Error)) throw e;
        throw this.error(path, e.message);
      }
      throw this.inside(path, e);
    }
  }

  /** The same for a list of strings that is read as one: line N of an error is entry N. */
  withinList<T>(path: Path, read: () => T): T {
    try {
      return read();
    } catch (e) {
      if (!(e instanceof TextError)) throw e;
      throw this.inside([...path, e.line - 1], new TextError(1, e.column, e.message));
    }
  }

  /** The place of a place inside a scalar: block scalars keep their lines, each indented; flow scalars stand on one. */
  private inside(path: Path, e: TextError): LabError {
    const node = this.find(path);
    if (node === null || !isScalar(node) || node.range === undefined || node.range === null)
      return this.at(node, e.message);
    const start = this.lines.linePos(node.range[0]);
    const kind = (node as Scalar).type;
    if (kind === "BLOCK_LITERAL") {
      const line = start.line + e.line;
      const source = this.text.split("\n")[line - 1] ?? "";
      const firstLine = this.text.split("\n")[start.line] ?? "";
      const indent = firstLine.length - firstLine.trimStart().length;
      return new LabError(this.name, line, Math.min(indent + e.column, source.length + 1), e.message);
    }
    const quote = kind === "PLAIN" ? 0 : 1;
    return new LabError(this.name, start.line, start.col + quote + (e.line === 1 ? e.column - 1 : 0), e.message);
  }

  private at(node: YamlNode | null, what: string): LabError {
    const offset = node?.range?.[0] ?? 0;
    const { line, col } = this.lines.linePos(offset);
    return new LabError(this.name, Math.max(1, line), Math.max(1, col), what);
  }

  /** The deepest node on the way to `path`. */
  private find(path: Path): YamlNode | null {
    let node = this.root;
    for (const step of path) {
      let next: unknown;
      if (isMap(node)) next = node.items.find((p) => isScalar(p.key) && String(p.key.value) === String(step))?.value;
      else if (isSeq(node)) next = node.items[Number(step)];
      if (next === undefined || next === null || isAlias(next)) return node;
      node = next as YamlNode;
    }
    return node;
  }
}

interface Issue {
  code: string;
  message: string;
  keys?: string[];
  expected?: string;
  values?: unknown[];
  path: (string | number)[];
  input?: unknown;
}

/** zod's words, shortened to what and what was expected. */
function describe(issue: Issue): string {
  const last = issue.path[issue.path.length - 1];
  const what = last === undefined ? "the lab" : typeof last === "number" ? `entry ${last + 1}` : `'${last}'`;
  switch (issue.code) {
    case "unrecognized_keys":
      return `unknown key '${issue.keys![0]}'`;
    case "invalid_type":
      return `${what}: wrong kind of value, expected ${issue.expected === "record" ? "a map" : `a ${issue.expected}`}`;
    case "invalid_value":
      return `${what}: expected one of ${(issue.values ?? []).join(", ")}`;
    default:
      return `${what}: ${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1)}`;
  }
}
