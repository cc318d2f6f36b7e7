import { pageStyle } from "./docs-style.ts";

/** A whole HTML page that needs nothing from elsewhere: one style sheet inside, no scripts. */
export function page({
  title,
  nav,
  main,
}: {
  readonly title: string;
  readonly nav: string;
  readonly main: string;
}): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · Hivepost</title>
<style>${pageStyle}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header><strong><a href="/docs">Hivepost</a></strong><a href="/docs">Operations</a><a href="/docs/errors">Errors</a><a href="/openapi.json">OpenAPI 3.1</a></header>
<div class="columns">
<nav aria-label="On this page">${nav}</nav>
<main id="main">${main}</main>
</div>
</body>
</html>
`;
}
