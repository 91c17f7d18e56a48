// What the commands write. It is plain Python that a user could have typed.

export const CONNECT = `import b2brecs as b2b

ws = b2b.connect("local")`;

const TITLE = `# Quickstart

124,000 real invoice lines of a UK wholesaler, loaded into a home on this machine: no account, no network.`;

const IMPORT = "import b2brecs as b2b";

const OPEN = 'ws = b2b.connect("local")';

const LOAD = `files = b2b.Connection.files("wholesale", path=b2b.sample.path())
ws.save(files)
job = b2b.EtlJob("wholesale", connection=files)
job = job.load("order_lines").load("orders").load("customers").load("products")
ws.save(job)
job.run()`;

/** The Python kernel to start: the server's default one if it is Python, else the first that is; undefined: none. */
export function pythonKernel(specs: {
  default: string;
  kernelspecs: Record<string, { name: string; display_name: string; language: string } | undefined>;
}): { name: string; display_name: string; language: string } | undefined {
  const python = Object.values(specs.kernelspecs).filter((spec) => spec?.language.toLowerCase() === "python");
  const found = python.find((spec) => spec?.name === specs.default) ?? python[0];
  return found && { name: found.name, display_name: found.display_name, language: found.language };
}

/** The quickstart as a notebook file. Without a kernel, JupyterLab asks for one. */
export function quickstart(kernelspec: ReturnType<typeof pythonKernel>) {
  const code = { cell_type: "code", execution_count: null, metadata: {}, outputs: [] };
  return {
    cells: [
      { cell_type: "markdown", id: "title", metadata: {}, source: TITLE },
      { ...code, id: "import", source: IMPORT },
      { ...code, id: "connect", source: OPEN },
      { ...code, id: "load", source: LOAD },
    ],
    metadata: kernelspec ? { kernelspec } : {},
    nbformat: 4,
    nbformat_minor: 5,
  };
}
