// The reference of the package as HTML: node docs-tool/make.mjs [--out DIRECTORY] [--package DIRECTORY]
// Fails on everything that is exported and has no comment, and on links that lead nowhere.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const own = fileURLToPath(new URL(".", import.meta.url));
const { values } = parseArgs({ options: { out: { type: "string" }, package: { type: "string" } } });
const root = resolve(values.package ?? join(own, ".."));
const out = resolve(values.out ?? join(own, "../docs"));

// Installed once for each lock file.
const lock = readFileSync(join(own, "package-lock.json"), "utf8");
const stamp = join(own, "node_modules/installed");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== lock) {
  execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--silent"], { cwd: own, stdio: "inherit" });
  writeFileSync(stamp, lock);
}
const { Application, TSConfigReader } = await import("typedoc");

const { version, repository } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const home = repository.url.replace(/^git\+/, "").replace(/\.git$/, "");
const directory = mkdtempSync(join(tmpdir(), "ferromcp-docs-"));
try {
  // What lies outside of the package is not in the reference: links to it lead to the repository. The page has a title of its own.
  const readme = join(directory, "README.md");
  const text = readFileSync(join(root, "README.md"), "utf8");
  writeFileSync(readme, text.replace(/^# .*\n/, "").replaceAll("](../../", `](${home}/blob/main/`));
  const app = await Application.bootstrap({
    entryPoints: [join(root, "src/index.ts")],
    tsconfig: join(root, "tsconfig.json"),
    basePath: root,
    name: `@ferromcp/sdk ${version}`,
    readme,
    navigationLinks: { Repository: home },
    categorizeByGroup: false,
    categoryOrder: ["Client", "Options", "Tools and calls", "Streams", "Batches", "Errors", "Rates and quotas", "Server"],
    navigation: { includeCategories: true },
    sort: ["kind", "source-order"],
    kindSortOrder: ["Class", "Function", "TypeAlias", "Interface", "Constructor", "Property", "Accessor", "Method"],
    disableSources: true,
    excludeExternals: true,
    excludePrivate: true,
    excludeInternal: true,
    hideGenerator: true,
    disableGit: true,
    validation: { notExported: true, invalidLink: true, invalidPath: true, notDocumented: true, rewrittenLink: true, unusedMergeModuleWith: true },
    requiredToBeDocumented: [
      "Enum", "EnumMember", "Variable", "Function", "Class", "Interface", "Property", "Method", "CallSignature", "IndexSignature", "Accessor",
      "GetSignature", "SetSignature", "TypeAlias", "Parameter",
    ],
    treatWarningsAsErrors: true,
    treatValidationWarningsAsErrors: true,
  }, [new TSConfigReader()]);
  const project = await app.convert();
  const failed = () => app.logger.hasErrors() || app.logger.hasWarnings();
  if (project === undefined || failed()) throw new Error("the sources cannot be read");
  app.validate(project);
  if (failed()) throw new Error("the comments are not complete");
  rmSync(out, { recursive: true, force: true });
  await app.generateDocs(project, out);
  if (failed()) throw new Error("the pages cannot be made");
  console.log(`docs: ${join(out, "index.html")}`);
} catch (error) {
  console.error(`docs: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
