import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";

/** Lets an example say `import … from "hivepost"`, as a program that installed the package does, without a build. */
const entries: Readonly<Record<string, string>> = {
  hivepost: "src/index.ts",
  "hivepost/server": "src/serve.ts",
  "hivepost/outbox": "src/client/outbox.ts",
};

registerHooks({
  resolve(specifier, context, nextResolve) {
    const entry = entries[specifier];
    return nextResolve(entry === undefined ? specifier : pathToFileURL(entry).href, context);
  },
});
