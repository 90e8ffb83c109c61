/** The steps of editing that the window makes, and what a step does to the shapes it names. */

import { v7 } from "uuid";
import type { AnnotationFields, AnnotationId, AnnotationView, Edit, EditChange } from "../wire.gen";

/** In order of their making, so that drawing order survives a round through the server. */
export const newAnnotationId = (): AnnotationId => v7();

export const edit = (...changes: EditChange[]): Edit => ({ changes });

export const put = (id: AnnotationId, { label_id, geometry, attributes }: AnnotationFields): EditChange => ({
	change: "put",
	id,
	label_id,
	geometry,
	attributes,
});

export const remove = (id: AnnotationId): EditChange => ({ change: "remove", id });

/** What is there of one annotation after `change`, as far as this window can tell before the core has answered. */
export function changed(before: AnnotationView | undefined, change: EditChange): AnnotationView | undefined {
	if (change.change === "remove") return undefined;
	const { id, label_id, geometry, attributes } = change;
	// A conflict or a refusal is not settled by editing on.
	const sync = !before || before.sync === "synced" ? "unsent" : before.sync;
	return { id, version: before?.version ?? null, editable: true, sync, label_id, geometry, attributes };
}
