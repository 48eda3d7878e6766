// src/service/http/cookies.ts: a browser's cookies (RFC 6265): taken from Set-Cookie, sent where they belong, over when they are.

/** Nanoseconds since 1970, as a number: days are exact enough. */
type Instant = number;

interface Cookie {
  readonly name: string;
  readonly value: string;
  readonly domain: string;
  readonly path: string;
  /** Only the host that set it, not those below it. */
  readonly hostOnly: boolean;
  readonly secure: boolean;
  readonly expires: Instant;
  readonly order: number;
}

/** Cookies of one site, and of all, at most (RFC 6265 §6.1). */
const DOMAIN_MAX = 50;
const TOTAL_MAX = 3000;

export class CookieJar {
  private readonly cookies = new Map<string, Cookie>();
  private order = 0;

  /** Takes a Set-Cookie field of an answer; what breaks the rules is passed over (RFC 6265 §5.2, §5.3). */
  take(line: string, url: URL, now: Instant): void {
    const [pair, ...attributes] = line.split(";");
    const eq = pair!.indexOf("=");
    if (eq < 0) return;
    const name = pair!.slice(0, eq).trim();
    const value = pair!.slice(eq + 1).trim();
    // a byte that could not be sent back
    if (name === "" || !/^[!-~]+$/.test(name) || !/^[ -~]*$/.test(value)) return;
    let domain = url.hostname.toLowerCase();
    let hostOnly = true;
    let path = defaultPath(url.pathname);
    let secure = false;
    let expires = Infinity;
    let maxAge: number | null = null;
    for (const a of attributes) {
      const at = a.indexOf("=");
      const key = (at < 0 ? a : a.slice(0, at)).trim().toLowerCase();
      const said = at < 0 ? "" : a.slice(at + 1).trim();
      if (key === "domain" && said !== "") {
        const wanted = said.replace(/^\./, "").toLowerCase();
        // a site sets cookies for itself and for what it stands below, never for a whole top level
        if (!domainMatches(domain, wanted) || (!wanted.includes(".") && wanted !== domain)) return;
        domain = wanted;
        hostOnly = false;
      } else if (key === "path" && said.startsWith("/")) path = said;
      else if (key === "secure") secure = true;
      else if (key === "max-age" && /^-?\d{1,15}$/.test(said)) maxAge = Number(said);
      else if (key === "expires") {
        const t = Date.parse(said);
        if (!Number.isNaN(t)) expires = t * 1e6;
      }
    }
    if (secure && url.protocol !== "https:") return;
    // RFC 6265 §5.3: Max-Age goes before Expires
    if (maxAge !== null) expires = maxAge <= 0 ? -Infinity : now + maxAge * 1e9;
    const key = `${domain} ${path} ${name}`;
    const known = this.cookies.get(key);
    if (expires <= now) {
      this.cookies.delete(key);
      return;
    }
    if (known === undefined && this.full(domain)) return;
    const order = known?.order ?? this.order++;
    this.cookies.set(key, { name, value, domain, path, hostOnly, secure, expires, order });
  }

  private full(domain: string): boolean {
    if (this.cookies.size >= TOTAL_MAX) return true;
    let n = 0;
    for (const c of this.cookies.values()) if (c.domain === domain) n++;
    return n >= DOMAIN_MAX;
  }

  /** The value of Cookie for a request; "" when there is none (RFC 6265 §5.4: long paths first, then old ones). */
  give(url: URL, now: Instant): string {
    const host = url.hostname.toLowerCase();
    const fit: Cookie[] = [];
    for (const [key, c] of this.cookies) {
      if (c.expires <= now) {
        this.cookies.delete(key);
        continue;
      }
      const here = c.hostOnly ? host === c.domain : domainMatches(host, c.domain);
      if (here && pathMatches(url.pathname, c.path) && (!c.secure || url.protocol === "https:")) fit.push(c);
    }
    fit.sort((a, b) => b.path.length - a.path.length || a.order - b.order);
    return fit.map((c) => `${c.name}=${c.value}`).join("; ");
  }

  get size(): number {
    return this.cookies.size;
  }
}

/** RFC 6265 §5.1.3; an address matches itself alone. */
function domainMatches(host: string, domain: string): boolean {
  if (host === domain) return true;
  return host.endsWith(`.${domain}`) && !/^[\d.]+$/.test(host);
}

/** RFC 6265 §5.1.4 */
function defaultPath(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash <= 0 ? "/" : path.slice(0, slash);
}

function pathMatches(path: string, of: string): boolean {
  return path === of || (path.startsWith(of) && (of.endsWith("/") || path[of.length] === "/"));
}
