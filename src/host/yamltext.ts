// src/host/yamltext.ts: a YAML file that knows where each of its parts stands, so that what is wrong is said with its place.

import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node as YamlNode,
  parseDocument,
  type Scalar,
} from "yaml";
import type { z } from "zod";
import { TextError } from "./text.ts";

/** `file:line:column: what is wrong, what was expected` */
export class PlaceError extends Error {
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

/** What a kind of file calls itself in errors, and how they are made. */
export interface YamlKind {
  /** `the lab` */
  readonly whole: string;
  /** What an empty file lacks: `a lab with \`nodes:\`` */
  readonly expected: string;
  /** `<<` takes over the keys of another map (YAML 1.1). */
  readonly merge?: boolean;
  error(file: string, line: number, column: number, what: string): PlaceError;
}

/** The text of a file and its nodes. */
export class YamlText {
  private readonly root: YamlNode | null;
  private readonly doc: Document.Parsed;
  private readonly lines = new LineCounter();

  /** Reads YAML (or JSON); throws a `PlaceError`. `name` is what errors call the file. */
  constructor(
    readonly name: string,
    readonly text: string,
    private readonly kind: YamlKind,
  ) {
    const merge = kind.merge ?? false;
    this.doc = parseDocument(text, { lineCounter: this.lines, prettyErrors: false, uniqueKeys: true, merge });
    this.root = this.doc.contents as YamlNode | null;
    const wrong = this.doc.errors[0];
    if (wrong !== undefined) throw this.atOffset(wrong.pos[0], wrong.message);
  }

  /** Rewrites every string value (not keys); a `TextError` that `change` throws gets its place. */
  changeStrings(change: (text: string) => string): void {
    const visit = (node: unknown): void => {
      if (isMap(node)) for (const pair of node.items) visit(pair.value);
      else if (isSeq(node)) for (const item of node.items) visit(item);
      else if (isScalar(node) && typeof node.value === "string") {
        try {
          const made = change(node.value);
          if (made !== node.value) node.value = made;
        } catch (e) {
          if (e instanceof TextError) throw this.insideNode(node as YamlNode, e);
          throw e;
        }
      }
    };
    visit(this.root);
  }

  /** The file as a schema has it; what it does not have throws with its place. */
  check<T>(schema: z.ZodType<T>): T {
    const checked = schema.safeParse(this.doc.toJS({ maxAliasCount: 100 }) ?? {});
    if (checked.success) return checked.data;
    const issue = deepest(checked.error.issues as unknown as Issue[]);
    const { path } = issue;
    const message = describe(issue, this.kind.whole);
    if (issue.code === "unrecognized_keys") throw this.errorAtKey([...path, issue.keys![0]!], message);
    if (this.doc.contents === null) {
      throw this.error([], `the file is empty, expected ${this.kind.expected}`);
    }
    throw this.error(path, message);
  }

  /** An error at the value of `path`. */
  error(path: Path, what: string): PlaceError {
    return this.at(this.find(path), what);
  }

  /** An error at the key of `path`. */
  errorAtKey(path: Path, what: string): PlaceError {
    const parent = this.find(path.slice(0, -1));
    if (isMap(parent)) {
      const pair = parent.items.find((p) => isScalar(p.key) && String(p.key.value) === String(path[path.length - 1]));
      if (pair !== undefined) return this.at(pair.key as YamlNode, what);
    }
    return this.at(parent, what);
  }

  /** Runs `read` on the string at `path`; a `TextError` of its becomes a `PlaceError` at the right line and column. */
  within<T>(path: Path, read: () => T): T {
    try {
      return read();
    } catch (e) {
      if (!(e instanceof TextError)) {
        if (e instanceof PlaceError || !(e instanceof Error)) throw e;
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

  private inside(path: Path, e: TextError): PlaceError {
    return this.insideNode(this.find(path), e);
  }

  /** The place of a place inside a scalar: block scalars keep their lines, each indented; flow scalars stand on one. */
  private insideNode(node: YamlNode | null, e: TextError): PlaceError {
    if (node === null || !isScalar(node) || node.range === undefined || node.range === null)
      return this.at(node, e.message);
    const start = this.lines.linePos(node.range[0]);
    const kind = (node as Scalar).type;
    if (kind === "BLOCK_LITERAL") {
      const line = start.line + e.line;
      const source = this.text.split("\n")[line - 1] ?? "";
      const firstLine = this.text.split("\n")[start.line] ?? "";
      const indent = firstLine.length - firstLine.trimStart().length;
      return this.kind.error(this.name, line, Math.min(indent + e.column, source.length + 1), e.message);
    }
    const quote = kind === "PLAIN" ? 0 : 1;
    return this.kind.error(this.name, start.line, start.col + quote + (e.line === 1 ? e.column - 1 : 0), e.message);
  }

  private at(node: YamlNode | null, what: string): PlaceError {
    return this.atOffset(node?.range?.[0] ?? 0, what);
  }

  private atOffset(offset: number, what: string): PlaceError {
    const { line, col } = this.lines.linePos(offset);
    return this.kind.error(this.name, Math.max(1, line), Math.max(1, col), what);
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
  /** Of a union: what was wrong with each way to write it. */
  errors?: Issue[][];
}

/** The first thing that is wrong; of something that may be written in several ways, what is wrong with the way that fits best. */
function deepest(issues: readonly Issue[]): Issue {
  const issue = issues[0]!;
  if (issue.code !== "invalid_union" || issue.errors === undefined) return issue;
  let best: Issue | null = null;
  for (const way of issue.errors) {
    const found = deepest(way);
    if (found.path.length > 0 || found.code === "unrecognized_keys" || found.code === "custom") {
      if (best === null || found.path.length > best.path.length) best = found;
    }
  }
  if (best !== null) return { ...best, path: [...issue.path, ...best.path] };
  const ways = issue.errors.map((way) => deepest(way)).map((i) => kindOf(i));
  return { ...issue, code: "invalid_type", expected: [...new Set(ways)].join(" or ") };
}

function kindOf(issue: Issue): string {
  if (issue.code === "invalid_value") return (issue.values ?? []).join(", ");
  return issue.expected ?? "another value";
}

/** zod's words, shortened to what and what was expected. */
function describe(issue: Issue, whole: string): string {
  const last = issue.path[issue.path.length - 1];
  const what = last === undefined ? whole : typeof last === "number" ? `entry ${last + 1}` : `'${last}'`;
  switch (issue.code) {
    case "unrecognized_keys":
      return `unknown key '${issue.keys![0]}'`;
    case "invalid_type":
      if (issue.message.endsWith("received undefined")) return `${what} is missing, expected ${kinds(issue.expected!)}`;
      return `${what}: wrong kind of value, expected ${kinds(issue.expected ?? "something else")}`;
    case "invalid_value":
      return `${what}: expected one of ${(issue.values ?? []).join(", ")}`;
    default:
      return `${what}: ${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1)}`;
  }
}

function kinds(expected: string): string {
  return expected
    .split(" or ")
    .map((e) => {
      if (e === "record" || e === "object") return "a map";
      if (e === "array") return "a list";
      if (e === "null") return "nothing";
      return /^(string|number|boolean|int)$/.test(e) ? `a ${e}` : e;
    })
    .join(" or ");
}
