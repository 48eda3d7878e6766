// A module with a state of its own: one for each host.

let count = 0;

export function next() {
  return ++count;
}
