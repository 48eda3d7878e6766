// A web server as anybody would write it: it knows nothing of wirepath.

import { createServer } from "node:http";
import { hostname } from "node:os";
import { next } from "./counter.js";

const server = createServer((req, res) => {
  res.setHeader("content-type", "application/json");
  res.end(JSON.stringify({ host: hostname(), count: next(), from: req.socket.remoteAddress, path: req.url }));
});

await new Promise((resolve) => server.listen(80, resolve));

export default server;
