/** Gives a label: to the selected shapes, or to the next. */

import { edit, type ImageDocument, put } from "../document";
import type { Edit, LabelId } from "../wire.gen";

/** One step for all the selected shapes that may be changed and have another label; `null` when there are none. */
export function relabelled(document: ImageDocument, label: LabelId): Edit | null {
	const changes = document.selected
		.filter(({ editable, label_id }) => editable && label_id !== label)
		.map((view) => put(view.id, { ...view, label_id: label }));
	return changes.length > 0 ? edit(...changes) : null;
}
