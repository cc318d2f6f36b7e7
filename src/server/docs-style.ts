/** Light and dark as the reader's system says; one column on a narrow screen. */
export const pageStyle = `
:root { --paper: #fdfcf9; --ink: #22211d; --soft: #6b675d; --line: #e4dfd3; --tint: #f5f1e7; --accent: #9a5b00; --code: #f3efe4;
  --get: #1f6f4a; --post: #8a4b00; --put: #3f4fa0; --patch: #6a3f9c; --delete: #a32a2a; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16150f; --ink: #e9e5d8; --soft: #a19b8b; --line: #35322a; --tint: #201e17; --accent: #f0b45a; --code: #23211a;
    --get: #74cfa0; --post: #f0b45a; --put: #9fb0ff; --patch: #c9a3f5; --delete: #f28b82; }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 4rem; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
a { color: var(--accent); text-decoration-thickness: 1px; text-underline-offset: 2px; }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 2px; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 1rem; top: .5rem; z-index: 2; background: var(--paper); padding: .25rem .5rem; }
header { position: sticky; top: 0; z-index: 1; display: flex; gap: 1.5rem; align-items: baseline; padding: .75rem 1.5rem;
  background: var(--paper); border-bottom: 1px solid var(--line); }
header strong { font-size: 1.15rem; }
header strong a { color: var(--ink); text-decoration: none; }
.columns { display: grid; grid-template-columns: 15rem minmax(0, 1fr); max-width: 76rem; margin: 0 auto; }
nav { position: sticky; top: 3.2rem; align-self: start; max-height: calc(100vh - 3.2rem); overflow-y: auto; padding: 1.25rem 1rem 2rem 1.5rem;
  font-size: .875rem; }
nav h2 { margin: 1rem 0 .25rem; font-size: .75rem; font-weight: 600; text-transform: uppercase; letter-spacing: .06em; color: var(--soft); }
nav h2:first-child { margin-top: 0; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav li a { display: block; padding: .1rem 0; color: var(--ink); text-decoration: none; overflow-wrap: anywhere; }
nav li a:hover { color: var(--accent); text-decoration: underline; }
main { padding: 1.25rem 1.5rem 6rem; min-width: 0; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: .5rem 0 1rem; }
main h2 { margin: 3rem 0 .5rem; font-size: 1.3rem; text-transform: none; }
h3 { margin: 2rem 0 .4rem; font-size: 1.05rem; }
section h3 { margin-top: 1.25rem; font-size: .8rem; text-transform: uppercase; letter-spacing: .06em; color: var(--soft); }
section h3 a { text-transform: none; letter-spacing: 0; }
code, pre { font: .875em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
:not(pre) > code { background: var(--code); padding: .1em .3em; border-radius: 3px; overflow-wrap: anywhere; }
pre { background: var(--code); border: 1px solid var(--line); border-radius: 6px; padding: .75rem 1rem; overflow-x: auto; margin: .25rem 0; }
.route { display: flex; flex-wrap: wrap; gap: .6rem; align-items: baseline; margin: .25rem 0; font-family: ui-monospace, Menlo, Consolas, monospace; }
.method { font-weight: 700; }
.get { color: var(--get); } .post { color: var(--post); } .put { color: var(--put); } .patch { color: var(--patch); } .delete { color: var(--delete); }
.scopes { color: var(--soft); font-size: .875rem; margin: .1rem 0; }
section { border-top: 1px solid var(--line); margin-top: 2.25rem; }
section h2 { margin-top: 1.25rem; }
section h2 a { color: inherit; text-decoration: none; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .8rem; }
th, td { padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:first-child { white-space: nowrap; }
.required { color: var(--accent); font-size: .75rem; margin-left: .35rem; }
details { margin: .75rem 0; }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; }
@media (max-width: 50rem) {
  .columns { grid-template-columns: minmax(0, 1fr); }
  nav { position: static; max-height: none; border-bottom: 1px solid var(--line); padding: 1rem 1.5rem; columns: 2; }
  header { gap: 1rem; padding: .6rem 1rem; font-size: .9rem; flex-wrap: wrap; }
  main { padding: 1rem; }
  section thead { display: none; }
  section tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  section td { display: inline-block; border: 0; padding: 0 .5rem 0 0; color: var(--soft); }
  section td:last-child { display: block; color: var(--ink); }
}
@media print { nav, header { display: none; } .columns { display: block; } }
`;
