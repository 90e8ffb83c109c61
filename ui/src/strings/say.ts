/** `say("save.offline", { count: 3 })`: the sentence, in the language of the window. */

import { en } from "./en";
import { format, type Message, type Values } from "./message";

export type Key = keyof typeof en;

/** What a translation must supply. */
export type Catalogue = { [K in Key]: Message };

// English is the only catalogue yet; a second one only changes these two lines.
export const locale = "en";
const catalogue: Catalogue = en;

export function say<K extends Key>(key: K, ...[values]: Values<(typeof en)[K]>): string {
	return format(catalogue[key], values ?? {}, locale);
}
