// Node's own import(), which the test runner would rewrite.

module.exports = (url) => import(url);
