/** What of the selected shape a pointer would take hold of. */

import { type EdgePlace, type Handle, handles, nearestEdge } from "../../document/geometry";
import { distance, type Point } from "../../document/point";
import type { AnnotationView } from "../../wire.gen";
import type { Editor } from "../editor";
import { HANDLE } from "../reach";

export interface Grip {
	shape: AnnotationView;
	handle: number;
	role: Handle["role"];
	cursor: string;
}

/** Handles show on a single selected shape only: with more, nobody could tell whose is whose. */
export function reshapable(editor: Editor): AnnotationView | null {
	const [shape, another] = editor.document.selected;
	return editor.editable && shape?.editable && !another ? shape : null;
}

export function gripAt(at: Point, editor: Editor): Grip | null {
	const shape = reshapable(editor);
	if (!shape) return null;
	let best: Grip | null = null;
	let reach = HANDLE * editor.pixel;
	for (const [handle, { at: place, role, cursor }] of handles(shape.geometry, editor.pixel).entries()) {
		const away = distance(at, place);
		if (away <= reach) [best, reach] = [{ shape, handle, role, cursor }, away];
	}
	return best;
}

/** Where on the selected shape's outline a vertex could be added. */
export function edgeAt(at: Point, editor: Editor): { shape: AnnotationView; place: EdgePlace } | null {
	const shape = reshapable(editor);
	const place = shape && nearestEdge(shape.geometry, at);
	return place && distance(at, place.at) <= HANDLE * editor.pixel ? { shape, place } : null;
}
