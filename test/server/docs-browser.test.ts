import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { type Browser, chromium, type Page } from "playwright-core";
import { startHive, type TestHive } from "./test-hive.ts";

const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const skip = existsSync(executablePath) ? false : `needs a browser at ${executablePath} (or CHROMIUM)`;

describe("the documentation in a browser", { skip }, () => {
  let hive: TestHive;
  let browser: Browser;
  before(async () => {
    hive = await startHive();
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  });
  after(async () => {
    await browser.close();
    await hive[Symbol.asyncDispose]();
  });

  const read = async <Result>(
    path: string,
    options: { colorScheme?: "light" | "dark"; width?: number },
    look: (page: Page) => Promise<Result>,
  ): Promise<Result> => {
    const { width = 1280, ...scheme } = options;
    const context = await browser.newContext({ ...scheme, viewport: { width, height: 900 } });
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on("console", (line) => complaints.push(line.text()));
    page.on("request", (request) => {
      if (!request.url().startsWith(hive.url)) complaints.push(`loads ${request.url()}`);
    });
    await page.goto(hive.url + path);
    const result = await look(page);
    await context.close();
    assert.deepEqual(complaints, []);
    return result;
  };

  for (const path of ["/docs", "/docs/errors"]) {
    it(`${path} fits a narrow screen without scrolling sideways`, async () => {
      const width = await read(path, { width: 360 }, (page) => page.evaluate("document.documentElement.scrollWidth"));
      assert.equal(width, 360);
    });
  }

  it("is dark for those who want it dark", async () => {
    const paper = (colorScheme: "light" | "dark") =>
      read("/docs", { colorScheme }, (page) => page.evaluate("getComputedStyle(document.body).backgroundColor"));
    assert.deepEqual([await paper("light"), await paper("dark")], ["rgb(253, 252, 249)", "rgb(22, 21, 15)"]);
  });

  it("shows the operation that a link names, below the header", async () => {
    const top = await read("/docs#claimMessages", {}, (page) =>
      page.evaluate("document.getElementById('claimMessages').getBoundingClientRect().top"),
    );
    assert.ok(Number(top) > 40 && Number(top) < 150, `${top}`);
  });
});
