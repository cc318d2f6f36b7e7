import type { DatabaseSync, SQLInputValue } from "node:sqlite";

export type Statement<Row> = {
  get(...values: SQLInputValue[]): Row | undefined;
  all(...values: SQLInputValue[]): Row[];
  /** @returns How many rows were changed. */
  run(...values: SQLInputValue[]): number;
};

/** A statement prepared once; `Row` is what its columns are, which only whoever wrote the SQL can know. */
export function prepare<Row = never>(db: DatabaseSync, sql: string): Statement<Row> {
  const statement = db.prepare(sql);
  return {
    get: (...values) => statement.get(...values) as Row | undefined,
    all: (...values) => statement.all(...values) as Row[],
    run: (...values) => Number(statement.run(...values).changes),
  };
}
