// src/host/fib/trie.ts: prefixes to routes. The core finds the prefix; the routes of a prefix are interned here, so that
// a full BGP table costs no object per prefix.

import type { Core } from "../../core/core.ts";
import { type Alias, FibError, type Info, type Leaf, type Route, errno, errorOf } from "./route.ts";

const released = new WeakSet<Route>();

/** Interned route descriptions, shared by all tables of a namespace (Linux's fib_info hash). */
export class Store {
  readonly infos = new Map<string, Info>();
  /** What packets still have of ways that no table has any more: it leads nowhere (dst_dev_put). */
  readonly released = released;
  private readonly aliases = new Map<Alias["key"], Alias>();
  private nextInfo = 1;
  private nextAlias = 1;

  /** The one with this key, or a new one. */
  info(key: string, make: (id: number) => Info): Info {
    let info = this.infos.get(key);
    if (info === undefined || info.dead) {
      info = make(this.nextInfo++);
      this.infos.set(key, info);
    }
    return info;
  }

  /** The description for packets with that dsfield. */
  alias(info: Info, tos: number): Alias {
    const key = info.id * 256 + tos;
    let alias = this.aliases.get(key);
    if (alias === undefined) {
      const { table, type } = info;
      alias = { id: this.nextAlias++, key, table, tos, type, info, error: errorOf(type), uses: 0 };
      this.aliases.set(key, alias);
      info.uses++;
    }
    return alias;
  }

  release(alias: Alias): void {
    if (--alias.uses > 0) return;
    this.aliases.delete(alias.key);
    this.forget(alias.info);
  }

  private forget(info: Info): void {
    if (--info.uses > 0) return;
    for (const nh of info.nexthops) {
      for (const route of nh.routes) if (route !== null) this.released.add(route);
      if (!nh.exceptions) continue;
      for (const e of nh.exceptions.values())
        for (const route of e.routes) if (route !== null) this.released.add(route);
    }
    if (this.infos.get(info.key) === info) this.infos.delete(info.key);
  }

  /** An alias that was made and is not going to be used. */
  discard(alias: Alias): void {
    if (alias.uses > 0) return;
    this.aliases.delete(alias.key);
    this.forget(alias.info);
  }
}

/** One routing table's prefixes; `local` and `main` share one until there are rules. */
export class Trie {
  readonly handle: number;
  /** By the value that the core answers. */
  private readonly leaves: (Leaf | null)[] = [null];
  private readonly byKey = new Map<Leaf["key"], Leaf>();
  private readonly unused: number[] = [];
  private readonly x;
  private readonly u32;

  constructor(
    core: Core,
    private readonly store: Store,
  ) {
    this.x = core.x;
    this.u32 = core.u32;
    this.handle = core.x.fibNew() >>> 0;
    if (this.handle === 0) throw new FibError(errno.ENOENT, "out of memory for a routing table");
  }

  get size(): number {
    return this.x.fibCount(this.handle) >>> 0;
  }

  free(): void {
    this.x.fibFree(this.handle);
  }

  /** Routes of the longest prefix that covers the address, null for none. */
  lookup(address: number): Leaf | null {
    return this.leaves[this.x.fibLookup(this.handle, address) >>> 0]!;
  }

  /** Length of the longest prefix of at most `max` bits that covers the address, -1 for none. */
  match(address: number, max: number): number {
    return this.x.fibMatch(this.handle, address, max);
  }

  /** Routes of exactly this prefix, null for none. */
  get(prefix: number, length: number): Leaf | null {
    return this.leaves[this.x.fibGet(this.handle, prefix, length) >>> 0]!;
  }

  /** Gives the prefix these routes, in the order in which they are tried; none takes it out. */
  set(prefix: number, length: number, aliases: readonly Alias[]): void {
    const old = this.get(prefix, length);
    if (aliases.length === 0) {
      if (old === null) return;
      this.x.fibDel(this.handle, prefix, length);
      return this.release(old);
    }
    const leaf = this.leaf(aliases);
    leaf.uses++;
    if ((this.x.fibAdd(this.handle, prefix, length, leaf.id) as unknown as number) === 0) {
      this.release(leaf);
      throw new FibError(errno.ENOENT, "out of memory for routes");
    }
    if (old !== null) this.release(old);
  }

  /** Every prefix in order. The table may change meanwhile. */
  forEach(visit: (prefix: number, length: number, leaf: Leaf) => void): void {
    const found = (this.x.fibFound(this.handle) >>> 0) >> 2;
    let prefix = 0;
    let length = -1;
    while ((this.x.fibNext(this.handle, prefix, length) as unknown as number) !== 0) {
      prefix = this.u32[found]!;
      length = this.u32[found + 1]!;
      visit(prefix, length, this.leaves[this.u32[found + 2]!]!);
    }
  }

  /** Distinct lists of routes: far fewer than prefixes. */
  *distinct(): IterableIterator<Leaf> {
    for (const leaf of this.leaves) if (leaf !== null) yield leaf;
  }

  private leaf(aliases: readonly Alias[]): Leaf {
    const key = aliases.length === 1 ? aliases[0]!.id : aliases.map((a) => a.id).join(",");
    let leaf = this.byKey.get(key);
    if (leaf === undefined) {
      const id = this.unused.pop() ?? this.leaves.length;
      leaf = { id, key, aliases, uses: 0 };
      this.leaves[id] = leaf;
      this.byKey.set(key, leaf);
      for (const a of aliases) a.uses++;
    }
    return leaf;
  }

  private release(leaf: Leaf): void {
    if (--leaf.uses > 0) return;
    this.byKey.delete(leaf.key);
    this.leaves[leaf.id] = null;
    this.unused.push(leaf.id);
    for (const a of leaf.aliases) this.store.release(a);
  }
}
