// Tests that fail on purpose: kit.test.ts runs them and looks at what they leave.
import { defineConfig } from "vitest/config";

export default defineConfig({ root: import.meta.dirname, test: { include: ["*.fails.ts"], pool: "forks" } });
