// src/capture/filter/index.ts: capture filters: pcap-filter(7) compiled to classic BPF, which the core runs.

export {
  formatProgram,
  parseProgram,
  loadFilter,
  unloadFilter,
  matches,
  type Instruction,
  type LoadedFilter,
  type Program,
} from "./program.ts";
export { compileFilter, LinkType, type FilterOptions } from "./compile.ts";
