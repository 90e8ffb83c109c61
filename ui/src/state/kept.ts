/** Whether a version that was set aside is what the image shows. */

import type { ImageDocument } from "../document";
import type { KeptVersion } from "../wire.gen";

/** Restoring it would change nothing: it has been restored, or drawn so again. */
export function isAsKept({ annotation_id, fields }: KeptVersion, document: ImageDocument): boolean {
	const shown = document.get(annotation_id);
	if (!shown || !fields) return !shown && !fields;
	return (["label_id", "geometry", "attributes"] as const).every((part) => same(shown[part], fields[part]));
}

/** Of what JSON can say. */
function same(a: unknown, b: unknown): boolean {
	if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
	const [ours, theirs] = [Object.entries(a), b as Record<string, unknown>];
	return ours.length === Object.keys(b).length && ours.every(([key, value]) => same(value, theirs[key]));
}
