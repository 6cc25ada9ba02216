// Bundles the widget into the Python package, as one ES module and one style sheet.

import { build } from "esbuild";

// anywidget sends the whole module to the browser with every widget that is made.
const LIMIT_KB = 150;
const MODULE = "../stompy_jupyter/static/widget.js";

const { metafile } = await build({
  entryPoints: ["src/widget.tsx", "src/widget.css"],
  outdir: "../stompy_jupyter/static",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  metafile: true,
  logLevel: "info",
});

const bytes = metafile.outputs[MODULE]?.bytes ?? Number.POSITIVE_INFINITY;
if (bytes > LIMIT_KB * 1024) {
  console.error(`widget.js has ${bytes} bytes; the limit is ${LIMIT_KB} KB`);
  process.exitCode = 1;
}
