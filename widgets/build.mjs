// Builds one ES module and one style sheet per widget into the Python package; with --tests, the tests into .tests/.
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, context } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const names = readdirSync(join(here, "src")).filter((name) => existsSync(join(here, "src", name, "index.ts")));
const BUDGET = 60 * 1024;

const shared = { absWorkingDir: here, bundle: true, format: "esm", target: "es2022", logLevel: "warning" };
const widgets = {
  ...shared,
  entryPoints: Object.fromEntries(names.map((name) => [name, `src/${name}/index.ts`])),
  outdir: join(here, "..", "b2brecs", "widgets", "static"),
  minify: true,
  charset: "utf8",
};

if (process.argv.includes("--tests")) {
  rmSync(join(here, ".tests"), { recursive: true, force: true });
  const found = readdirSync(join(here, "src"), { recursive: true }).filter((name) => name.endsWith(".test.ts"));
  const entryPoints = found.map((name) => join("src", name));
  await build({ ...shared, entryPoints, outdir: ".tests", platform: "node", outExtension: { ".js": ".mjs" } });
} else if (process.argv.includes("--watch")) {
  await (await context(widgets)).watch();
} else {
  await build(widgets);
  for (const name of names) {
    const bytes =
      statSync(join(widgets.outdir, `${name}.js`)).size + statSync(join(widgets.outdir, `${name}.css`)).size;
    console.log(`${name}: ${(bytes / 1024).toFixed(1)} kB`);
    if (bytes > BUDGET) throw new Error(`${name} is ${bytes} bytes, over its budget of ${BUDGET}`);
  }
}
