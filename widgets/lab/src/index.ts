// Two commands that write cells. They know nothing of the widgets and speak to no server but Jupyter's own.
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { ICommandPalette } from "@jupyterlab/apputils";
import { ILauncher } from "@jupyterlab/launcher";
import { notebookIcon } from "@jupyterlab/ui-components";
import { CONNECT, pythonKernel, quickstart } from "./cells";

const CATEGORY = "b2brecs";
const NEW = "b2brecs:new-quickstart";
const INSERT = "b2brecs:insert-connect";
// JupyterLab's own; they act on the notebook in front.
const INSERT_BELOW = "notebook:insert-cell-below";
const WRITE = "notebook:replace-selection";

function addCommands(app: JupyterFrontEnd): void {
  const { commands, serviceManager } = app;
  const { contents, kernelspecs } = serviceManager;

  commands.addCommand(NEW, {
    label: (args) => (args.isPalette ? "b2brecs: new quickstart notebook" : "Quickstart"),
    caption: "Open a notebook that loads the sample",
    icon: (args) => (args.isPalette ? undefined : notebookIcon),
    execute: async (args) => {
      await kernelspecs.ready;
      const kernel = kernelspecs.specs ? pythonKernel(kernelspecs.specs) : undefined;
      const path = typeof args.cwd === "string" ? args.cwd : "";
      const made = await contents.newUntitled({ path, type: "notebook" });
      await contents.save(made.path, { type: "notebook", format: "json", content: quickstart(kernel) });
      return commands.execute("docmanager:open", { path: made.path, factory: "Notebook" });
    },
  });

  commands.addCommand(INSERT, {
    label: "b2brecs: insert connect cell",
    caption: "Write a cell that opens a workspace, below the active one",
    isEnabled: () => commands.hasCommand(INSERT_BELOW) && commands.isEnabled(INSERT_BELOW),
    execute: async () => {
      await commands.execute(INSERT_BELOW);
      await commands.execute(WRITE, { text: CONNECT });
    },
  });
}

const plugin: JupyterFrontEndPlugin<void> = {
  id: "b2brecs:commands",
  description: "A launcher card and palette commands that write cells.",
  autoStart: true,
  optional: [ICommandPalette, ILauncher],
  activate: (app: JupyterFrontEnd, palette: ICommandPalette | null, launcher: ILauncher | null) => {
    addCommands(app);
    palette?.addItem({ command: NEW, category: CATEGORY, args: { isPalette: true } });
    palette?.addItem({ command: INSERT, category: CATEGORY });
    launcher?.add({ command: NEW, category: CATEGORY });
  },
};

export default plugin;
