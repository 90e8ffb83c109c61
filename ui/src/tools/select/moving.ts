import { edit, put } from "../../document";
import { bounds, moved } from "../../document/geometry";
import { alongEighth, minus, type Point, same } from "../../document/point";
import { clampStep, rectOf, union } from "../../document/rect";
import type { AnnotationView } from "../../wire.gen";
import type { Editor, Pointer } from "../editor";
import type { Preview } from "../preview";
import { done, type State } from "../tool";

export class Moving implements State {
	readonly cursor = "move";
	readonly preview: Preview;

	constructor(
		private readonly start: Point,
		private readonly before: readonly AnnotationView[],
		private readonly now: readonly AnnotationView[],
	) {
		this.preview = { inHand: now };
	}

	move({ at, shift }: Pointer, editor: Editor): State {
		const by = minus(shift ? alongEighth(this.start, at) : at, this.start);
		return new Moving(this.start, this.before, movedTogether(this.before, by, editor));
	}

	up(_pointer: Pointer, editor: Editor): State {
		const [was, is] = [this.before, this.now].map(([shape]) => shape && bounds(shape.geometry));
		const still = was && is && same([was.left, was.top], [is.left, is.top]);
		if (!still) editor.commit(edit(...this.now.map((shape) => put(shape.id, shape))));
		return done;
	}
}

/** The same step for all, so that what is at the edge of the picture holds the others back. */
export function movedTogether(shapes: readonly AnnotationView[], by: Point, { picture }: Editor): AnnotationView[] {
	const around = shapes.flatMap(({ geometry }) => bounds(geometry) ?? []);
	if (around.length === 0) return [...shapes];
	const step = clampStep(around.reduce(union), by, rectOf(picture));
	return shapes.map((shape) => ({ ...shape, geometry: moved(shape.geometry, step, picture) }));
}
