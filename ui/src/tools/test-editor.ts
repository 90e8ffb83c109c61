/** An editor without a canvas: pointer and key events go in, edits come out. For tests. */

import { ImageDocument } from "../document";
import { bounds, touches } from "../document/geometry";
import type { Point } from "../document/point";
import { encloses, rectAround } from "../document/rect";
import type { AnnotationView, Delta, Edit, Geometry } from "../wire.gen";
import { TOOLS } from ".";
import type { Editor, Modifiers } from "./editor";
import { Hand } from "./hand";
import { LINE } from "./reach";
import type { ToolName } from "./tool";

export class TestEditor implements Editor {
	readonly document: ImageDocument;
	readonly picture = { width: 400, height: 300 };
	readonly edits: Edit[] = [];
	readonly hand: Hand;
	pixel = 1;
	editable = true;
	activeLabel: string | null = "cell";

	constructor(tool: ToolName, shapes: Record<string, Geometry | AnnotationView> = {}) {
		const annotations = Object.entries(shapes).map(([id, shape]) => ("id" in shape ? shape : view(id, shape)));
		this.document = new ImageDocument({ annotations, history: { can_undo: false, can_redo: false } });
		this.hand = new Hand(this, TOOLS[tool]);
	}

	shapeAt(at: Point): AnnotationView | null {
		return this.document.annotations.findLast(({ geometry }) => touches(geometry, at, LINE * this.pixel)) ?? null;
	}

	shapesWithin(corner: Point, opposite: Point): AnnotationView[] {
		const area = rectAround([corner, opposite]);
		return this.document.annotations.filter(({ geometry }) => {
			const rect = bounds(geometry);
			return rect !== null && encloses(area, rect);
		});
	}

	commit(made: Edit): void {
		this.edits.push(made);
		void this.document.commit(made, () => new Promise<Delta>(() => {}));
	}

	select(ids: Iterable<string>): void {
		this.document.select(ids);
	}

	/** Presses at `from`, moves through the others and lets go at the last. */
	drag(points: Point[], modifiers: Partial<Modifiers> = {}): void {
		const held = { shift: false, alt: false, ...modifiers };
		const [from, to] = [points[0] as Point, points.at(-1) as Point];
		this.hand.move({ at: from, ...held });
		this.hand.down({ at: from, ...held });
		for (const at of points.slice(1)) this.hand.move({ at, ...held });
		this.hand.up({ at: to, ...held });
	}

	click(at: Point, modifiers: Partial<Modifiers> = {}): void {
		this.drag([at], modifiers);
	}

	hover(at: Point, modifiers: Partial<Modifiers> = {}): void {
		this.hand.move({ at, shift: false, alt: false, ...modifiers });
	}

	doubleClick(at: Point): void {
		this.click(at);
		this.click(at);
		this.hand.doubleClick({ at, shift: false, alt: false });
	}

	/** The geometries that the last edit put. */
	get made(): Geometry[] {
		return (this.edits.at(-1)?.changes ?? []).flatMap((change) => (change.change === "put" ? [change.geometry] : []));
	}

	get selected(): string[] {
		return [...this.document.selection];
	}
}

export function view(id: string, geometry: Geometry, more: Partial<AnnotationView> = {}): AnnotationView {
	return { id, version: 1, editable: true, sync: "synced", label_id: null, geometry, attributes: {}, ...more };
}
