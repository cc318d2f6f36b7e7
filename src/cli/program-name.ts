/** What to type to run this program: a checkout is not on anybody's PATH, an installed package is. */
export const programName = import.meta.filename.endsWith(".ts") ? "npx hivepost" : "hivepost";
