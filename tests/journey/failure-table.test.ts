// What fails together when one machine dies: each machine of each bundled lab is switched off, and a browser opens a page that
// the application makes and one that is a file of the proxy's.

import { describe, expect, it } from "vitest";
import { type Journey, powerOff } from "../../src/node/journey.ts";
import { labFile, opened } from "./support.ts";

/** By lab and machine that is off: what `/` (from the database) and `/about.html` (a file) give. */
const table: Record<string, Record<string, readonly [dynamic: string, file: string]>> = {
  single: {
    none: ["200", "200"],
    server: ["ERR_ADDRESS_UNREACHABLE", "ERR_ADDRESS_UNREACHABLE"],
  },
  apart: {
    none: ["200", "200"],
    web: ["ERR_ADDRESS_UNREACHABLE", "ERR_ADDRESS_UNREACHABLE"],
    app: ["502", "200"],
    db: ["500", "200"],
  },
  containers: {
    none: ["200", "200"],
    host: ["ERR_ADDRESS_UNREACHABLE", "ERR_ADDRESS_UNREACHABLE"],
    web: ["ERR_CONNECTION_REFUSED", "ERR_CONNECTION_REFUSED"],
    app: ["502", "200"],
    db: ["500", "200"],
  },
};

/** What is on the way is the same in all of them. */
const onTheWay: Record<string, string> = {
  home: "ERR_NAME_NOT_RESOLVED",
  resolver: "ERR_NAME_NOT_RESOLVED",
  root: "ERR_NAME_NOT_RESOLVED",
  tld: "ERR_NAME_NOT_RESOLVED",
  authoritative: "ERR_NAME_NOT_RESOLVED",
  transit2: "ERR_NAME_NOT_RESOLVED",
  datacentre: "ERR_ADDRESS_UNREACHABLE",
};

describe.each(Object.keys(table))("%s", (lab) => {
  const text = labFile(lab);

  it.each(Object.entries(table[lab]!))("%s off", async (node, [dynamic, file]) => {
    const before = node === "none" ? {} : { before: (j: Journey) => powerOff(j.lab, node) };
    const page = await opened(text, "http://www.example.com/", before);
    const asset = await opened(text, "http://www.example.com/about.html", before);
    expect([page.got, asset.got]).toEqual([dynamic, file]);
    // whoever reads the story finds the cause in it
    if (node === "none") expect(page.causes).toEqual([]);
    else expect(page.causes.length).toBeGreaterThan(0);
    if (dynamic === "200") expect(new TextDecoder().decode(page.page!.body)).toContain("<b>grace</b>: It came back");
  });
});

it.each(Object.entries(onTheWay))("on the way: %s off", async (node, error) => {
  const { got } = await opened(labFile("single"), "http://www.example.com/", { before: (j) => powerOff(j.lab, node) });
  expect(got).toBe(error);
});

it("a machine that is not there", async () => {
  await expect(
    opened(labFile("single"), "http://www.example.com/", { before: (j) => powerOff(j.lab, "nobody") }),
  ).rejects.toThrow("there is no node 'nobody', expected one of pc, home");
});
