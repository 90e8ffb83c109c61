/**
 * Adds to package-lock.json the builds for other platforms that npm left out.
 *
 * npm locks only the optional packages whose description it could read, and `npm ci` then refuses the lock on
 * every machine. A registry mirror that lacks the builds for platforms it does not serve brings that about; their
 * versions and platforms stand in their parents and their names, so nothing has to be read for them.
 */

import { readFileSync, writeFileSync } from "node:fs";

const FILE = new URL("package-lock.json", import.meta.url);
const SYSTEMS = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"];

const lock = JSON.parse(readFileSync(FILE, "utf8"));
const added = [];
for (const parent of Object.values(lock.packages)) {
	for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
		const place = `node_modules/${name}`;
		const platform = platformOf(name);
		if (lock.packages[place] || !platform) continue;
		lock.packages[place] = { version, ...platform, ...(parent.dev && { dev: true }), optional: true };
		added.push(name);
	}
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(FILE, `${JSON.stringify(lock, null, "\t")}\n`);
console.log(added.length === 0 ? "The lock is complete." : `Added ${added.length}: ${added.join(" ")}`);

/** `@rollup/rollup-linux-arm64-musl` runs on Linux, on arm64, with musl. `null`: not named after a platform. */
function platformOf(name) {
	const words = name.split(/[/-]/);
	const at = words.findIndex((word) => SYSTEMS.includes(word));
	if (at < 0) return null;
	const [system, processor, ...abi] = words.slice(at);
	const has = (prefix) => abi.some((word) => word.startsWith(prefix));
	const libc = has("musl") ? "musl" : has("gnu") ? "glibc" : null;
	return {
		cpu: [processor],
		...(system === "linux" && libc && { libc: [libc] }),
		os: [system],
	};
}
