// Makes `chromium` here, a program that starts the browser of the package with the libraries and the font that it brings.
import { chmodSync, createReadStream, createWriteStream, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync, createBrotliDecompress } from "node:zlib";
import tar from "tar-fs";

const here = fileURLToPath(new URL(".", import.meta.url));
const packed = `${here}node_modules/@sparticuz/chromium/bin/`;

for (const name of ["al2023", "fonts"]) {
  await pipeline(Readable.from([brotliDecompressSync(readFileSync(`${packed}${name}.tar.br`))]), tar.extract(`${here}${name}`));
}
await pipeline(createReadStream(`${packed}chromium.br`), createBrotliDecompress(), createWriteStream(`${here}browser`, { mode: 0o755 }));
writeFileSync(`${here}fonts.conf`, `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>${here}fonts/fonts</dir><dir>/usr/share/fonts</dir><cachedir>${here}fonts/cache</cachedir></fontconfig>
`);
writeFileSync(`${here}chromium`, `#!/bin/sh
export LD_LIBRARY_PATH='${here}al2023/lib'
export FONTCONFIG_FILE='${here}fonts.conf'
exec '${here}browser' "$@"
`);
chmodSync(`${here}chromium`, 0o755);
// Packed, it is of no use any more.
rmSync(`${here}node_modules`, { recursive: true });
