// tests/wire/http.cases.ts: requests and responses, good and bad, written by hand. Their verdicts come from Node's parser
// (tests/support/llhttp.ts), except where the second half says otherwise, and why.

export type Type = "request" | "response";
export type Case = readonly [Type, string];

const R = "request";
const S = "response";
const H = "GET / HTTP/1.1\r\n";
const P = "POST / HTTP/1.1\r\n";
const C = `${P}Transfer-Encoding: chunked\r\n\r\n`;
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

const requests = (...inputs: string[]): Case[] => inputs.map((input) => [R, input]);
const responses = (...inputs: string[]): Case[] => inputs.map((input) => [S, input]);
const each = (make: (x: string) => string, xs: readonly string[]): string[] => xs.map(make);

/** Cases on which this parser and Node's agree. */
export const agreed: readonly Case[] = [
  // start lines
  ...requests(
    "", "\r\n", `\r\n\r\n${H}\r\n`, "GET", "GET /", "GET / HTTP", H.trimEnd(), H, " GET / HTTP/1.1\r\n\r\n", "GET\r\n",
    "GET \r\n", "GET / \r\n", "GET\t/ HTTP/1.1\r\n\r\n", "G@T / HTTP/1.1\r\n\r\n", "GET@ / HTTP/1.1\r\n\r\n",
    "\0GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1 \r\n\r\n", "GET / HTTP/1.2\r\n\r\n", "GET / HTTP/1.\r\n\r\n",
    "GET / HTTP/3.1\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "GET / http/1.1\r\n\r\n", "GET / HTTP/11\r\n\r\n",
    "GET / HTTP/1.10\r\n\r\n", "GET / HTTP/01.1\r\n\r\n", "GET / HTTPS/1.1\r\n\r\n", "GET / HTTP/1,1\r\n\r\n",
    "GET / HTTP 1.1\r\n\r\n", "GET / HTTP/1.1\n\r\n", "GET / HTTP/1.1\r\r\n", "GET / HTTP/1.1\rX",
    "GET / HTTP/1.1 x\r\n\r\n", "GET / x HTTP/1.1\r\n\r\n", "GET /a b HTTP/1.1\r\n\r\n", "GET / ICE/1.0\r\n\r\n",
    "FOO / HTTP/1.1\r\n\r\n", "get / HTTP/1.1\r\n\r\n", "GETX / HTTP/1.1\r\n\r\n", "ANNOUNCE / HTTP/1.1\r\n\r\n",
    "GE / HTTP/1.1\r\n\r\n",
  ),
  ...requests(...each((m) => `${m} /x HTTP/1.1\r\n\r\n`, [
    "ACL", "BIND", "CHECKOUT", "COPY", "DELETE", "GET", "HEAD", "LINK", "LOCK", "M-SEARCH", "MERGE", "MKACTIVITY",
    "MKCALENDAR", "MKCOL", "MOVE", "NOTIFY", "OPTIONS", "PATCH", "POST", "PROPFIND", "PROPPATCH", "PURGE", "PUT",
    "QUERY", "REBIND", "REPORT", "SEARCH", "SOURCE", "SUBSCRIBE", "TRACE", "UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE",
    "MKCOLA", "PU", "UNSUBSCRIBEX", "-",
  ])),
  ...requests(...each((t) => `GET ${t} HTTP/1.1\r\n\r\n`, [
    "*", "foo", "?x", "http:", "http:/a", "http://a", "http://a:80/x?y#z", "http://u:p@a/", "http://[::1]/",
    "HTTPS://a?b", "http://a#b", "http://a\"b", "http://[::1]:80?x", "http://a:b:c/", "/a#b", "/a#b#c", "/a?b?c",
    "/%zz", "//", "/..", "/\"<>\\^`{|}", "/\x7f", "/\x80", "/\xff", "/\x01", "/\0", "/a\tb", "/a?\x80", "/a\rb",
    "/a\nb", "/a\x1bb", "://", "1http://a", "/;a=b,c", "http://a b/",
  ])),
  ...requests("OPTIONS * HTTP/1.1\r\n\r\n", ...each((t) => `CONNECT ${t} HTTP/1.1\r\nHost: a\r\n\r\ntunnel`, ["a:80", "[::1]:80", "a.b-c_d:1", "a:"])),
  // field lines
  ...requests(...each((f) => `${H}${f}\r\n\r\n`, [
    " A: b", "\tA: b", ": b", "A : b", "A\t: b", "A b: c", "A", "A(: b", "A\x80: b", "A\0: b", "A\x7f: b", "A\x01: b",
    "A@: b", "A[: b", "A\"b: c", "A/b: c", "A=b: c", "A;b: c", "A{: b", "!#$%&'*+-.^_`|~0: tokens", "A: b\0c",
    "A: b\x7fc", "A: b\x01c", "A: b\x1fc", "A: b\x80c\xff", "A: \xa0b\xa0", "A:b", "A: \t b \t ", "A:", "A:   ",
    "A: b\n", "A: b\r", "A: b\rC: d", "A: b\nC: d", "A: b\r\n c", "A: b\r\n\tc", "A:\r\n c", "A: b\r\n\rX", "A:\nB: c",
    "A: \nB: c", "A:\rX", "A: b\r\nA: c", "A: b: c", "A: \"b\\\"c\"", "A: b\tc", "A: b\x0bc", "A: b\x0cc", "A:\0",
    "Host: a\r\nHost: b", "A: b\r\n: c", "A: b\r\nB", `A: ${"x".repeat(9000)}`, `${"N".repeat(5000)}: v`,
  ])),
  // Content-Length
  ...requests(...each((v) => `${P}Content-Length:${v}\r\n\r\nhello`, [
    " 5", "5", "   5  ", " 05", " 00000000000000000000000000000005", " 0", " +5", " -5", " 5 5", " 5,5", " 5, 5",
    " 5,6", " 0x5", " 5x", " x", "", " ", " 5;a", " 5\x0b", " \x0b5", " 5.0", " 5e0", " 18446744073709551615",
    " 18446744073709551616", " 99999999999999999999", " 184467440737095516150", " 5\0", " \"5\"", " 5\xb2",
    " 9007199254740993", " 4294967301",
  ])),
  ...requests(
    `${P}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`,
    `${P}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
    `${P}content-length: 5\r\nCONTENT-LENGTH: 6\r\n\r\nhello`, `${P}Content-Length: 5\r\nContent-Length:\r\n\r\nhello`,
    `${P}Content-Length : 5\r\n\r\nhello`, `${P}Content-Length: 5\r\n\r\nhell`,
    `${P}Content-Length: 5\r\n\r\nhello${H}\r\n`, `${P}Content-Length: 5\r\n\r\nhelloX`,
    `${P}Content-Length: 0\r\n\r\n${H}\r\n`, `${P}Content-Length: 0\r\nContent-Length: 0\r\n\r\n`,
    `${P}Content-LengthX: 5\r\n\r\n`, `${P}XContent-Length: 5\r\n\r\n`, `${P}Content-Lengt: 5\r\n\r\n`,
    `${H}Content-Length: 3\r\n\r\nabc${H}\r\n`,
  ),
  // Transfer-Encoding
  ...requests(...each((v) => `${P}Transfer-Encoding:${v}\r\n\r\n0\r\n\r\n`, [
    " chunked", "chunked", " CHUNKED", " Chunked ", " gzip", " gzip, chunked", " gzip,chunked", " gzip;q=1 , chunked",
    " chunked, gzip", " chunked,gzip", " chunked, chunked", " xchunked", " chunkedx", " x chunked", " chunked x",
    " chunked;a=b", " \x0bchunked", " chunked\x0b", " \"chunked\"", " chunked,", " ,chunked", " identity",
    " identity, chunked", " chunked, identity", " chunked chunked", " chunke", " chunked\0", " cow",
    " gzip\r\nTransfer-Encoding: chunked", " chunked\r\nTransfer-Encoding: gzip",
    " chunked\r\nTransfer-Encoding: chunked", " chunked\r\nContent-Length: 5", " gzip\r\nContent-Length: 5",
    " chunked\r\n\tx", " chunked\nX: y", " identity\r\nContent-Length: 5",
  ])),
  ...requests(
    `${P}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `${P}Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello`,
    `${P}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`, `${P}Transfer_Encoding: chunked\r\n\r\n`,
    `${P}Transfer-Encoding\0: chunked\r\n\r\n`, `${P}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ),
  // chunks
  ...requests(...each((c) => C + c, [
    "", "5", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n0\r\n\r",
    "5\r\nhello\r\n0\r\n\r\n", "0000\r\n\r\n", "A\r\n0123456789\r\n0\r\n\r\n", "a\r\n0123456789\r\n00\r\n\r\n",
    "00000000000000000005\r\nhello\r\n0\r\n\r\n", "FFFFFFFFFFFFFFFF\r\n", "10000000000000000\r\n",
    "FFFFFFFFFFFFFFFFF\r\n", "5 \r\n", " 5\r\n", "5\t\r\n", "\t5\r\n", "0x5\r\n", "+5\r\n", "-5\r\n", "g\r\n",
    "5g\r\n", "\r\n", ";a\r\n", "5\nhello\r\n", "5\rhello", "5\r\r\n", "5\r\nhelloX", "5\r\nhello\n", "5\r\nhello\rX",
    "5\r\nhello0\r\n", "5\r\nhell\r\n", "5,5\r\n", "5.\r\n", "\0\r\n", "5\0\r\n", "5;a\r\nhello\r\n0\r\n\r\n",
    "5;a=b\r\nhello\r\n0\r\n\r\n", "5;a=b;c=d;e\r\nhello\r\n0\r\n\r\n", "5;a=\"b c;d\"\r\nhello\r\n0\r\n\r\n",
    "5;a=\"\"\r\nhello\r\n0\r\n\r\n", "5;a=\"b\\\"c\";d\r\nhello\r\n0\r\n\r\n", "5;a=\"b\\\\\"\r\nhello\r\n0\r\n\r\n",
    "5;a=\"b\tc\"\r\nhello\r\n0\r\n\r\n", "5;a=\"b;\r\n", "5;a=\"b\n", "5;a=\"b\0\"\r\n", "5;a=\"\x7f\"\r\n",
    "5;a=\"b\"c\r\n", "5 ;a\r\n", "5; a\r\n", "5;a =b\r\n", "5;a= b\r\n", "5;\r\n", "5;a;\r\n", "5;a=\"b\" \r\n",
    "5;a=\"b\" ;c\r\n", "5;a\x01\r\n", "5;a\n", "5;a\rX", "5;a=b\nhello", "5;a\xff\r\n", "5;a=(\r\n", "0;a=b\r\n\r\n",
    "2 erfrferferf\r\naa\r\n", "0\r\nT: u\r\n\r\n", `0\r\nT: u\r\n\r\n${H}\r\n`, "0\r\nT: u\r\nV: w\r\n",
    "0\r\nContent-Length: 5\r\n\r\n", "0\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\nT : u\r\n\r\n",
    "0\r\nT: u\n\r\n", "0\r\nT: u\r\n v\r\n\r\n", "0\r\n T: u\r\n\r\n", "0\r\n\n", "0\n\r\n", "0\r\n\rX",
    "0\r\nT: u\0\r\n\r\n", "0\r\n: u\r\n\r\n", "0\r\nT\r\n\r\n", `0\r\n\r\n${H}\r\n`, "0\r\n\r\nX",
    "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n",
  ])),
  // persistence
  ...requests(...each((v) => `${H}Connection: ${v}\r\n\r\n${H}\r\n`, [
    "close", "Close", "CLOSE", "keep-alive", "close, keep-alive", "keep-alive, close", "foo,close", "foo , close ",
    "closex", "xclose", "close x", "x close", "\"close\"", "", ",", "keep-alive\r\nConnection: close",
  ])),
  ...requests(
    `${H}Connection: close\r\n\r\n`, `${H}Connection: close\r\n\r\n\r\n`, `${H}Connection: close\r\n\r\nX`,
    "GET / HTTP/1.0\r\n\r\n\r\n", "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    `${P}Connection: close\r\nContent-Length: 2\r\n\r\nab\r\n`,
    `${P}Connection: close\r\nContent-Length: 2\r\n\r\nabc`, `${H}\r\n${H}\r\n${H}\r\n`,
  ),
  // Upgrade
  ...requests(
    `${H}Connection: upgrade\r\nUpgrade: x\r\n\r\n${H}`, `${H}Upgrade: x\r\nConnection: foo, UPGRADE\r\n\r\n\0\x01`,
    `${H}Upgrade: x\r\n\r\n${H}\r\n`, `${H}Connection: upgrade\r\n\r\n${H}\r\n`,
    `${H}Connection: upgrade\r\nUpgrade:\r\n\r\nX`,
    `${P}Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\nhelloX`,
    `${P}Connection: upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX`,
    `${H}Connection: upgrade, close\r\nUpgrade: x\r\n\r\nX`,
  ),
  // responses
  ...responses(
    "", "\r\n", "HTTP", "HTTP/1.1 200", "HTTP/1.1 200 OK", OK, `\r\n${OK}`, OK + OK, "HTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\nabc", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200  OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 200OK\r\n\r\n", "HTTP/1.1 200\tOK\r\n\r\n",
    "HTTP/1.1 200 O\x80K\tx\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK \r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\n\r\n", "HTTP/1.1 200 OK\rX", "HTTP/1.1 200\n", "HTTP/1.1 200\rX", "HTTP/1.1 -20 OK\r\n",
    "HTTP/1.2 200 OK\r\n\r\n", "http/1.1 200 OK\r\n\r\n", "HTTP/1.1\r\n", "HTTP/1.1 \r\n", "HTP/1.1 200 OK\r\n\r\n",
    "HTTP/01.1 200 OK\r\n\r\n", "HTTP/11.1 200 OK\r\n\r\n", "HTTP/1.01 200 OK\r\n\r\n", "HTTPER/1.1 200 OK\r\n\r\n",
    "ICY 200 OK\r\n\r\n", " HTTP/1.1 200 OK\r\n", "HTTP/1.1\t200 OK\r\n", "HTTP/1.1 200 OK\r\n Host: foo\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\nContent-Length: 0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", `HTTP/1.1 204 N\r\n\r\n${OK}`,
    `HTTP/1.1 304 N\r\nContent-Length: 5\r\n\r\n${OK}`, `HTTP/1.1 204 N\r\nContent-Length: 5\r\n\r\n${OK}`,
    `HTTP/1.1 100 C\r\n\r\n${OK}`, `HTTP/1.1 103 E\r\nLink: x\r\n\r\n${OK}`, `HTTP/1.1 150 E\r\n\r\n${OK}`,
    "HTTP/1.1 101 S\r\n\r\n\x81\x05hello", "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nabc",
    `HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\n\r\n${OK}`,
    "HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\nabcd",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc",
    "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.0 200 OK\r\n",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabcX",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc\r\n\r\n",
    "HTTP/1.1 204 N\r\nConnection: close\r\n\r\nX",
    `HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n${OK}`,
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nHTTP/1.0 200 OK", "HTTP/1.0 200 OK\r\n\r\nabc",
    "HTTP/1.1 500 \xc3\xa9\r\nContent-Length: 1\r\n\r\nx",
  ),
];

/** Refused here, accepted by Node: what RFC 9112 or RFC 9110 says of it, and where. Offsets are of the byte that breaks it. */
export const stricter: readonly (readonly [Type, string, offset: number, rule: string])[] = [
  [R, `\n${H}\r\n`, 0, "9112 §2.2: CR LF ends a line, also the empty one in front of a message"],
  [R, `\r${H}\r\n`, 1, "9112 §2.2: a bare CR"],
  [R, "GET  / HTTP/1.1\r\n\r\n", 4, "9112 §3: one space behind the method"],
  [R, "GET /  HTTP/1.1\r\n\r\n", 6, "9112 §3: one space behind the target"],
  [R, "GET /\r\n\r\n", 5, "9112 §3: a request line has a version; this is HTTP/0.9"],
  [R, "GET / HTTP/0.9\r\n\r\n", 11, "only HTTP/1.0 and 1.1 are read"],
  [R, "GET / HTTP/2.0\r\n\r\n", 11, "only HTTP/1.0 and 1.1 are read"],
  [R, "PRI * HTTP/2.0\r\n\r\n", 2, "the preface of HTTP/2 is no HTTP/1.1 (9113 §3.4)"],
  [S, "HTTP/0.9 200 OK\r\n\r\n", 5, "only HTTP/1.0 and 1.1 are read"],
  [S, "HTTP/2.0 200 OK\r\n\r\n", 5, "only HTTP/1.0 and 1.1 are read"],
  [R, "SOURCE / ICE/1.0\r\n\r\n", 9, "9112 §2.3: HTTP-name is HTTP"],
  [S, "RTSP/1.1 200 OK\r\n\r\n", 0, "9112 §2.3: HTTP-name is HTTP"],
  [R, "GET / RTSP/1.0\r\n\r\n", 6, "9112 §2.3: HTTP-name is HTTP"],
  [R, "GET http:// HTTP/1.1\r\n\r\n", 11, "9110 §4.2.1: an empty host is refused"],
  [R, "GET http:///x HTTP/1.1\r\n\r\n", 11, "9110 §4.2.1: an empty host is refused"],
  [R, "GET http://a@b@c/ HTTP/1.1\r\n\r\n", 14, "3986 §3.2.1: one @ in an authority"],
  [R, "GET *x HTTP/1.1\r\n\r\n", 5, "9112 §3.2.4: asterisk-form is the asterisk"],
  [R, "CONNECT a HTTP/1.1\r\n\r\n", 9, "9112 §3.2.3: authority-form has a port"],
  [R, "CONNECT /x HTTP/1.1\r\n\r\n", 8, "9112 §3.2.3: authority-form is host and port"],
  [R, "CONNECT http://a/ HTTP/1.1\r\n\r\n", 13, "9112 §3.2.3: authority-form is host and port"],
  [R, `${P}Transfer-Encoding:\r\n\r\n`, 37, "9112 §6.3: a request's last coding is chunked"],
  [R, `${P}Transfer-Encoding: \r\n\r\n`, 38, "9112 §6.3: a request's last coding is chunked"],
  [R, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 34, "9112 §6.1: a coding makes HTTP/1.0's framing faulty"],
  [S, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 34, "9112 §6.1: a coding makes HTTP/1.0's framing faulty"],
  [S, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip, chunked\r\n\r\n0\r\n\r\n", 58, "9112 §7.1: chunked is applied once"],
  [S, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked;a=b\r\n\r\n", 43, "9112 §7.1: chunked has no parameters"],
  [S, "HTTP/1.1 200 OK\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", 36, "9112 §7: a coding is a token"],
  [R, `${C}5;a=\r\nhello\r\n0\r\n\r\n`, 51, "9112 §7.1.1: a value is not empty"],
  [R, `${C}5;;a\r\nhello\r\n0\r\n\r\n`, 49, "9112 §7.1.1: a name is not empty"],
  [R, `${C}5;=b\r\nhello\r\n0\r\n\r\n`, 49, "9112 §7.1.1: a name is not empty"],
  [R, `${P}Connection: keep-alive\r\n\r\n`.replace("1.1", "1.0").replace("keep-alive", "keep-alive, close") + H, 50, "9112 §9.3: close comes first"],
  [R, "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nX", 51, "9110 §7.8: HTTP/1.0 has no Upgrade, so no tunnel follows"],
  [S, "HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n", 14, "9112 §4: no control byte in a reason phrase"],
  [S, "HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n", 14, "9112 §4: no control byte in a reason phrase"],
  [S, "HTTP/1.1 200 O\x7fK\r\nContent-Length: 0\r\n\r\n", 14, "9112 §4: no control byte in a reason phrase"],
];

/** Refused by Node, accepted here because the RFCs allow it. */
export const laxer: readonly (readonly [Type, string, rule: string])[] = [
  [R, `${P}Content-Length: 5\t\r\n\r\nhello`, "9110 §5.6.3: OWS is SP and HTAB"],
  [R, `${P}Transfer-Encoding: chunked \t \r\n\r\n0\r\n\r\n`, "9110 §5.6.3: OWS is SP and HTAB"],
  [R, `${C}0\r\nConnection: close\r\n\r\n${H}\r\n`, "9110 §6.5.1: trailers are no header fields"],
  [R, "GET h2c+x://a/ HTTP/1.1\r\n\r\n", "3986 §3.1: a scheme has digits, +, - and . behind its first letter"],
  [R, `${H}Proxy-Connection: close\r\n\r\n${H}\r\n`, "Proxy-Connection is no field of 9110 or 9112"],
  [S, `HTTP/1.1 150 E\r\nContent-Length: 5\r\n\r\n${OK}`, "9112 §6.3: a 1xx ends behind its head, whatever its fields say"],
];

/** Where the refused bytes begin, for cases whose refusal is not of one's own choosing. */
export const offsets: readonly (readonly [Type, string, offset: number])[] = [
  [R, "GET / HTTP/1.1\n\r\n", 14], [R, "GET / HTTP/1.1\rX", 15], [R, `${H} A: b\r\n`, 16], [R, `${H}A : b\r\n`, 17],
  [R, `${H}: b\r\n`, 16], [R, `${H}A: b\r\n c\r\n`, 22], [R, `${H}A: b\0c\r\n`, 20], [R, `${H}A: b\n`, 20],
  [R, `${H}A: b\r\n\n`, 22], [R, "GET /foo bar HTTP/1.1\r\n", 9], [R, "GET / HTTP/1.2\r\n", 13],
  [R, `${P}Content-Length: -5\r\n`, 33], [R, `${P}Content-Length: 5x\r\n`, 34],
  [R, `${P}Content-Length: 5\r\nContent-Length: 6\r\n`, 52],
  [R, `${P}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n`, 53],
  [R, `${P}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n`, 59], [R, `${P}Transfer-Encoding: gzip\r\n\r\n`, 42],
  [R, `${P}Transfer-Encoding: chunked, gzip\r\n\r\n`, 43], [R, `${C}5 \r\n`, 48], [R, `${C}g\r\n`, 47],
  [R, `${C}10000000000000000\r\n`, 63], [R, `${C}5\r\nhelloX`, 55], [R, `${C}5;a\n`, 50],
  [R, `${H}Connection: close\r\n\r\nX`, 37], [R, `${P}Content-Length: 18446744073709551616\r\n`, 52],
  [S, "HTTP/1.1 2x0 OK\r\n", 10], [S, "HTTP/1.1 200 OK\n", 15], [R, "G@T / HTTP/1.1\r\n", 1],
  [R, "GET /\x80 HTTP/1.1\r\n", 5], [R, `${H}A\x80: b\r\n`, 17],
];
