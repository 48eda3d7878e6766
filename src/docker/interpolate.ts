// src/docker/interpolate.ts: variables in a Compose file (Compose Specification, "Interpolation").

import { TextError } from "../host/text.ts";

export type Variables = ReadonlyMap<string, string>;

/**
 * `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?message}`, `${NAME?message}`, `${NAME:+other}`,
 * `${NAME+other}`, `$$`. With a colon, an empty value counts as none. A default may hold variables itself.
 * @param missed hears of variables that have neither value nor default: they become nothing
 * @throws TextError
 */
export function interpolate(text: string, variables: Variables, missed: (name: string) => void = () => {}): string {
  return new Interpolation(text, variables, missed).read(false);
}

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;

class Interpolation {
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly variables: Variables,
    private readonly missed: (name: string) => void,
  ) {}

  /** Up to the end, or, inside of braces, to the brace that closes. */
  read(inside: boolean): string {
    const { text } = this;
    let out = "";
    while (this.at < text.length) {
      const ch = text[this.at]!;
      if (inside && ch === "}") return out;
      if (ch !== "$") {
        out += ch;
        this.at++;
      } else if (text[this.at + 1] === "$") {
        out += "$";
        this.at += 2;
      } else out += this.variable();
    }
    return out;
  }

  private variable(): string {
    const start = this.at++;
    const braces = this.text[this.at] === "{";
    if (braces) this.at++;
    const name = this.name(start);
    const value = this.variables.get(name);
    if (!braces) return this.plain(name, value);
    const m = /:?[-?+]/y;
    m.lastIndex = this.at;
    const operator = m.exec(this.text)?.[0] ?? "";
    this.at += operator.length;
    if (operator === "" && this.text[this.at] !== "}" && this.at < this.text.length) {
      this.fail(start, `'${this.word(start)}': expected '}'`);
    }
    const behind = operator === "" ? "" : this.quietly(operator, value);
    if (this.text[this.at] !== "}") this.fail(start, `'${this.word(start)}': the '{' is never closed`);
    this.at++;
    const set = value !== undefined && !(operator.startsWith(":") && value === "");
    switch (operator.at(-1)) {
      case "-":
        return set ? value : behind;
      case "+":
        return set ? behind : "";
      case "?":
        if (!set) this.fail(start, `required variable ${name} is missing a value${behind === "" ? "" : `: ${behind}`}`);
        return value;
      default:
        return this.plain(name, value);
    }
  }

  /** What stands behind the operator; variables in a part that is not used are not missed. */
  private quietly(operator: string, value: string | undefined): string {
    const set = value !== undefined && !(operator.startsWith(":") && value === "");
    if (set === (operator.at(-1) === "+")) return this.read(true);
    const inner = new Interpolation(this.text, this.variables, () => {});
    inner.at = this.at;
    const out = inner.read(true);
    this.at = inner.at;
    return out;
  }

  private plain(name: string, value: string | undefined): string {
    if (value === undefined) this.missed(name);
    return value ?? "";
  }

  private name(start: number): string {
    NAME.lastIndex = this.at;
    const m = NAME.exec(this.text);
    if (m === null) this.fail(start, `'${this.word(start)}' is no variable; write $$ for a $`);
    this.at += m[0].length;
    return m[0];
  }

  private word(start: number): string {
    return this.text.slice(start, start + 20);
  }

  private fail(start: number, message: string): never {
    const before = this.text.slice(0, start).split("\n");
    throw new TextError(before.length, before.at(-1)!.length + 1, message);
  }
}

/** A `.env` file: NAME=VALUE lines, `#` comments, quotes as a shell has them. @throws TextError */
export function parseEnvFile(text: string): Map<string, string> {
  const out = new Map<string, string>();
  text.split(/\r?\n/).forEach((line, i) => {
    if (/^\s*(#|$)/.test(line)) return;
    const m = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$/.exec(line);
    if (m === null) throw new TextError(i + 1, 1, `'${line.trim().slice(0, 20)}', expected NAME=VALUE`);
    const raw = m[2]!;
    const quoted = /^(?:'([^']*)'|"((?:[^"\\]|\\.)*)")(?:\s+#.*)?$/.exec(raw);
    if (quoted === null) out.set(m[1]!, raw.replace(/\s+#.*$/, ""));
    else out.set(m[1]!, quoted[1] ?? quoted[2]!.replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c)));
  });
  return out;
}
