/** One thing the doctor looked at. `odd` works, but not as it should. */
export type Finding = {
  readonly check: string;
  readonly verdict: "right" | "odd" | "wrong";
  readonly text: string;
  /** What to do about it. */
  readonly mend?: string;
};
