// src/lab/print.ts: a lab as text, in the order and the style of contracts: what is printed reads back the same.

import { Document, isMap, isSeq, visit } from "yaml";
import type { LabFile } from "./schema.ts";

/** Maps that stand on one line: they are read as one statement. */
const inline = new Set(["interfaces", "links", "timeline", "nat_choices"]);

/** The lab as YAML. `head` is its first comment, a line each. */
export function printLab(file: LabFile, head = ""): string {
  const doc = new Document(file);
  visit(doc, {
    Pair(_key, pair) {
      const name = (pair.key as { value?: unknown }).value;
      if (typeof name !== "string" || !inline.has(name)) return;
      const { value } = pair;
      const parts = isMap(value) ? value.items.map((p) => p.value) : isSeq(value) ? value.items : [];
      for (const part of parts) if (isMap(part)) part.flow = true;
    },
    Scalar(_key, node) {
      // rules stay rules: one a line
      if (typeof node.value === "string" && node.value.includes("\n")) node.type = "BLOCK_LITERAL";
    },
  });
  const body = doc.toString({ lineWidth: 0, flowCollectionPadding: true });
  return head === "" ? body : `${head.replace(/^/gm, "# ")}\n${body}`;
}
