import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { type ErrorCode, errorStatus } from "../contract/errors.ts";
import { escapeHtml, renderMarkdown } from "./markdown.ts";
import { page } from "./page.ts";

/** Beside `src` in a checkout; a package comes without it. */
const errorsFile = path.join(import.meta.dirname, "../../docs/errors.md");

/** What `docs/errors.md` says, where it is there. */
export function readErrorsFile(): string | undefined {
  return existsSync(errorsFile) ? readFileSync(errorsFile, "utf8") : undefined;
}

/**
 * Every error code with an anchor of its own, which is what a problem's `type` points to.
 *
 * @param text The document that explains them; without it there is just the list.
 */
export function renderErrors(text: string | undefined): string {
  const main = text === undefined ? listCodes() : renderMarkdown(text);
  const codes = Object.keys(errorStatus).map((code) => `<li><a href="#${code}">${code}</a></li>`);
  return page({ title: "Errors", nav: `<h2>Codes</h2><ul>${codes.join("")}</ul>`, main });
}

function listCodes(): string {
  const sections = (Object.entries(errorStatus) as [ErrorCode, number][]).map(
    ([code, status]) => `<h2 id="${code}"><code>${escapeHtml(code)}</code></h2><p>HTTP status ${status}.</p>`,
  );
  return `<h1>Errors</h1>${sections.join("")}`;
}
