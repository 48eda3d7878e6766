// A reverse proxy in CommonJS: one server in front of others.

const http = require("node:http");
const os = require("node:os");
const state = require("./state.cjs");

const server = http.createServer((req, res) => {
  state.visits++;
  const [, to, ...rest] = req.url.split("/");
  const upstream = http.get({ host: to, path: `/${rest.join("/")}` }, (answer) => {
    res.writeHead(answer.statusCode, { ...answer.headers, via: os.hostname(), visits: state.visits });
    answer.pipe(res);
  });
  upstream.on("error", (e) => {
    res.writeHead(502, { visits: state.visits }).end(e.message);
  });
});

server.listen(80);

exports.server = server;
