/** The end of every drawing gesture. */

import { edit, newAnnotationId, put } from "../document";
import { isSpeck } from "../document/geometry";
import type { Geometry } from "../wire.gen";
import type { Editor } from "./editor";
import { SPECK } from "./reach";

/** Makes the shape and selects it, so that a label key pressed next means it; a speck is not made at all. */
export function draw(geometry: Geometry, editor: Editor): boolean {
	if (isSpeck(geometry, SPECK * editor.pixel)) return false;
	const id = newAnnotationId();
	editor.commit(edit(put(id, { label_id: editor.activeLabel, geometry, attributes: {} })));
	editor.select([id]);
	return true;
}
