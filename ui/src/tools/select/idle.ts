import { edit, put } from "../../document";
import { withoutVertex, withVertex } from "../../document/geometry";
import type { AnnotationId } from "../../wire.gen";
import type { Editor, Pointer } from "../editor";
import type { Preview } from "../preview";
import { done, type State } from "../tool";
import { edgeAt, type Grip, gripAt } from "./grip";
import { Marquee } from "./marquee";
import { Pressed } from "./pressed";
import { Reshaping } from "./reshaping";

class Idle implements State {
	readonly preview: Preview;

	constructor(
		readonly cursor: string,
		hovered: AnnotationId | null,
	) {
		this.preview = { hovered };
	}

	move({ at, alt }: Pointer, editor: Editor): State {
		const grip = gripAt(at, editor);
		if (grip) return new Idle(grip.cursor, null);
		if (alt && edgeAt(at, editor)) return new Idle("copy", null);
		const shape = editor.shapeAt(at);
		const cursor = shape ? (editor.editable && shape.editable ? "move" : "pointer") : "default";
		return this.cursor === cursor && this.preview.hovered === (shape?.id ?? null)
			? this
			: new Idle(cursor, shape?.id ?? null);
	}

	down(pointer: Pointer, editor: Editor): State {
		const { at, shift, alt } = pointer;
		const grip = gripAt(at, editor);
		if (grip?.role === "vertex" && alt && shift) return removeVertex(grip, editor);
		if (grip) return Reshaping.from(grip.shape, grip.handle, pointer, editor);
		const edge = alt ? edgeAt(at, editor) : null;
		// The new vertex is in hand at once: one press adds it and drags it into place.
		if (edge) {
			const origin = withVertex(edge.shape.geometry, edge.place);
			return Reshaping.from(edge.shape, edge.place.after + 1, pointer, editor, origin);
		}
		const shape = editor.shapeAt(at);
		if (!shape) return new Marquee(at, at, shift ? [...editor.document.selection] : []);
		return Pressed.on(shape, pointer, editor);
	}
}

function removeVertex({ shape, handle }: Grip, editor: Editor): State {
	const geometry = withoutVertex(shape.geometry, handle);
	if (geometry) editor.commit(edit(put(shape.id, { ...shape, geometry })));
	return done;
}

export const idle: State = new Idle("default", null);
