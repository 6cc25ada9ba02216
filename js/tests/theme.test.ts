import { afterEach, expect, test, vi } from "vitest";
import { type Theme, themeOf, watchTheme } from "../src/theme";

afterEach(() => {
  for (const place of [document.documentElement, document.body]) {
    for (const { name } of [...place.attributes]) {
      place.removeAttribute(name);
    }
  }
  vi.unstubAllGlobals();
});

function system(theme: Theme) {
  vi.stubGlobal("matchMedia", () => ({ matches: theme === "dark" }));
}

test.each([
  ["JupyterLab", () => document.body.setAttribute("data-jp-theme-light", "false")],
  ["VS Code", () => document.body.setAttribute("data-vscode-theme-kind", "vscode-dark")],
  [
    "VS Code, high contrast",
    () => document.body.setAttribute("data-vscode-theme-kind", "vscode-dark-high-contrast"),
  ],
  [
    "VS Code, high contrast as it was first",
    () => document.body.setAttribute("data-vscode-theme-kind", "vscode-high-contrast"),
  ],
  ["Colab", () => document.documentElement.setAttribute("theme", "dark")],
  ["marimo", () => document.body.classList.add("dark-theme")],
  ["Sphinx", () => document.documentElement.setAttribute("data-theme", "dark")],
  ["Quarto", () => document.body.classList.add("quarto-dark")],
])("%s says that it is dark, whatever the system says", (_, say) => {
  system("light");
  say();
  expect(themeOf(document.body)).toBe("dark");
});

test("a light page is light on a dark system", () => {
  system("dark");
  document.body.setAttribute("data-jp-theme-light", "true");
  expect(themeOf(document.body)).toBe("light");
});

test.each<Theme>(["light", "dark"])("a page that says nothing is as the system, %s", (theme) => {
  system(theme);
  document.body.className = "lightbox darkroom";
  expect(themeOf(document.body)).toBe(theme);
});

test("the theme of a frame is that of the page around it", () => {
  system("light");
  document.body.setAttribute("data-vscode-theme-kind", "vscode-dark");
  const frame = document.createElement("iframe");
  document.body.append(frame);
  const inner = frame.contentDocument?.body ?? document.body;
  expect(inner).not.toBe(document.body);
  expect(themeOf(inner)).toBe("dark");
  frame.remove();
});

test("a change of theme is told, until one stops", async () => {
  const changed = vi.fn();
  const stop = watchTheme(document.body, changed);
  document.body.setAttribute("data-jp-theme-light", "false");
  await vi.waitFor(() => expect(changed).toHaveBeenCalledTimes(1));
  stop();
  document.body.setAttribute("data-jp-theme-light", "true");
  await Promise.resolve();
  expect(changed).toHaveBeenCalledTimes(1);
});
