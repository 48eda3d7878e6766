// `wirepath subnet` as a user types it.

import { describe, expect, it } from "vitest";
import { Failure } from "../../src/cli/command.ts";
import { command } from "../../src/cli/subnet.ts";
import { expectRefusal, wirepath } from "../support/cli.ts";

const out = (words: string[]): string => {
  const r = wirepath(["subnet", ...words]);
  expect({ status: r.status, stderr: r.stderr }).toEqual({ status: 0, stderr: "" });
  return r.stdout;
};

describe("subnet", () => {
  it("ANDs address and mask, bit by bit", () => {
    const text = out(["10.0.0.77/20"]);
    expect(text).toBe(
      [
        "10.0.0.77/20",
        "  address    10.0.0.77         00001010.00000000.0000|0000.01001101",
        "  mask       255.255.240.0     11111111.11111111.1111|0000.00000000  /20: 20 bits network, 12 bits host",
        "  AND                          ------------------------------------",
        "  network    10.0.0.0          00001010.00000000.0000|0000.00000000",
        "  wildcard   0.0.15.255        00000000.00000000.0000|1111.11111111",
        "  broadcast  10.0.15.255       00001010.00000000.0000|1111.11111111  all host bits 1",
        "  first host 10.0.0.1          00001010.00000000.0000|0000.00000001",
        "  last host  10.0.15.254       00001010.00000000.0000|1111.11111110",
        "  hosts      2^12 - 2 = 4094: all but network and broadcast",
        "",
      ].join("\n"),
    );
    for (const words of [
      ["10.0.0.77", "255.255.240.0"],
      ["10.0.0.77", "0.0.15.255"],
      ["10.0.0.77", "20"],
      ["10.0.0.77/255.255.240.0"],
    ]) {
      expect(out(words)).toBe(text);
    }
    expect(JSON.parse(out(["10.0.0.77/20", "--json"]))).toEqual({
      address: "10.0.0.77",
      mask: "255.255.240.0",
      wildcard: "0.0.15.255",
      length: 20,
      addresses: 4096,
      network: "10.0.0.0/20",
      first: "10.0.0.1",
      last: "10.0.15.254",
      broadcast: "10.0.15.255",
      hosts: 4094,
    });
  });

  it("has no broadcast in a /31 and a /32", () => {
    expect(out(["10.0.0.7/31"])).toMatch(
      /broadcast  none: both addresses of a \/31 are hosts \(RFC 3021\)\n.*first host 10\.0\.0\.6 .*\n.*last host  10\.0\.0\.7 .*\n  hosts      2\^1 = 2\n$/,
    );
    expect(out(["10.0.0.7/32"])).toMatch(/broadcast  none: a \/32 is one host\n[^]*hosts      2\^0 = 1\n$/);
    expect(out(["0.0.0.0/0"])).toMatch(/2\^32 - 2 = 4294967294/);
  });

  it("says that ten networks need sixteen, lists them, and which six stay free", () => {
    const lines = out(["10.0.0.0/16", "--split", "10"]).split("\n");
    expect(lines).toContain("10 networks need 16: 2^3 = 8 is too few, 2^4 = 16, so 6 stay free");
    expect(lines).toContain("  4 bits more: /16 -> /20, mask 255.255.240.0, 4094 hosts each");
    expect(lines).toContain("    network             first host       last host        broadcast");
    expect(lines).toContain("10  10.0.144.0/20       10.0.144.1       10.0.159.254     10.0.159.255");
    expect(lines).toContain("11  10.0.160.0/20       10.0.160.1       10.0.175.254     10.0.175.255  free");
    expect(lines.filter((l) => l.endsWith("  free"))).toHaveLength(6);
    expect(lines).toContain("free together: 10.0.160.0/19, 10.0.192.0/18");
    const json = out(["10.0.0.0/16", "--split", "10", "--json"])
      .trim()
      .split("\n")
      .map((l) => JSON.parse(l) as Record<string, unknown>);
    expect(json).toHaveLength(16);
    expect(json[10]).toEqual({
      number: 11,
      free: true,
      network: "10.0.160.0/20",
      first: "10.0.160.1",
      last: "10.0.175.254",
      broadcast: "10.0.175.255",
      hosts: 4094,
    });
    expect(out(["10.0.0.0/16", "--split", "16"])).toContain("16 networks: 2^4 = 16, none stays free");
    expect(out(["10.0.0.0/16", "--split", "1"])).toContain("1 network: 2^0 = 1, none stays free");
    expect(out(["10.0.0.0/16", "--split", "15"])).toContain("so 1 stays free");
  });

  it("makes a network for each number of hosts", () => {
    const text = out(["10.0.0.0/22", "--hosts", "100,500,20"]);
    expect(text).toContain("500 hosts: 2^8 - 2 = 254 is too few, 2^9 - 2 = 510: /23, mask 255.255.254.0\n");
    expect(text).toContain("\n  500  10.0.0.0/23         10.0.0.1         10.0.1.254       10.0.1.255\n");
    expect(text).toContain("\n  100  10.0.2.0/25         10.0.2.1         10.0.2.126       10.0.2.127\n");
    expect(text).toContain("\n free  10.0.3.0/24         10.0.3.1         10.0.3.254       10.0.3.255\n");
    expect(out(["10.0.0.0/30", "--hosts", "2"])).toMatch(/nothing stays free\n$/);
    expect(
      out(["10.0.0.0/22", "--hosts", "500", "--json"])
        .trim()
        .split("\n")
        .map((l) => (JSON.parse(l) as { network: string }).network),
    ).toEqual(["10.0.0.0/23", "10.0.2.0/23"]);
  });

  it("says what contains what, with status 1 when one does not", () => {
    expect(out(["10.0.0.0/8", "--contains", "10.2.3.4", "--contains", "10.9.0.0/16"])).toContain(
      "10.9.0.0/16 is in 10.0.0.0/8\n",
    );
    const r = wirepath(["subnet", "10.0.0.0/8", "--contains", "11.2.3.4", "--contains", "10.0.0.0/7", "--json"]);
    expect(r.status).toBe(1);
    expect(r.stdout).toBe(
      '{"network":"10.0.0.0/8","asked":"11.2.3.4","contains":false}\n{"network":"10.0.0.0/8","asked":"10.0.0.0/7","contains":false}\n',
    );
    expect(wirepath(["subnet", "10.0.0.0/8", "--contains", "10.0.0.0/7"]).stdout).toContain("a /7 is larger than a /8");
  });

  it("summarises", () => {
    expect(out(["--summarise", "10.0.1.0/24", "10.0.0.0/24", "10.0.2.0-10.0.2.127"])).toBe(
      "10.0.0.0/23         10.0.0.0-10.0.1.255\n10.0.2.0/25         10.0.2.0-10.0.2.127\naround all: 10.0.0.0/22, with 384 addresses more\n",
    );
    expect(JSON.parse(out(["--summarize", "10.0.1.0/24", "10.0.0.0/24", "--json"]))).toEqual({
      networks: ["10.0.0.0/23"],
      around: "10.0.0.0/23",
    });
  });

  it.each([
    [[], /no NETWORK given/],
    [["10.0.0.0"], /'10\.0\.0\.0': expected a length or a mask, such as 10\.0\.0\.0\/24/],
    [["10.0.0.0/33"], /expected a network such as/],
    [["10.0.0.0/8", "255.0.0.0"], /'10\.0\.0\.0\/8' has a mask already/],
    [["10.0.0.0", "255.0.255.0"], /'255\.0\.255\.0': expected a mask/],
    [["10.0.0.0", "8", "9"], /'9': expected NETWORK and MASK only/],
    [["10.0.0.0/30", "--split", "5"], /10\.0\.0\.0\/30 has 4 addresses: 5 networks do not fit/],
    [["10.0.0.0/8", "--split", "0"], /--split '0': expected numbers from 1 on/],
    [["10.0.0.0/8", "--split", "2,3"], /expected one number; --hosts takes several/],
    [["10.0.0.0/24", "--hosts", "200,100"], /need 384 addresses, 10\.0\.0\.0\/24 has 256/],
    [["10.0.0.0/24", "--hosts", "x"], /--hosts 'x': expected numbers from 1 on/],
    [["10.0.0.0/24", "--hosts", "5", "--split", "2"], /expected one of --split, --hosts, --contains, --summarise/],
    [["10.0.0.0/24", "--contains", "x"], /--contains 'x': expected an address or a network/],
    [["--summarise"], /--summarise needs networks/],
    [["--summarise", "10.0.0.9-10.0.0.1"], /'10\.0\.0\.9-10\.0\.0\.1': expected a network, or a range FIRST-LAST/],
  ])("refuses %j", async (words, what) => {
    const refused = command.run(words);
    await expect(refused).rejects.toThrow(what);
    await expect(refused).rejects.toBeInstanceOf(Failure);
  });

  it("says so in one line, status 2", () =>
    expectRefusal(wirepath(["subnet", "10.0.0.0/33"]), /expected a network such as/));
});
