/** The canvas without its events: the document, the camera, the tool in hand and the painter, and what ties them. */

import { edit, ImageDocument, put, remove } from "../document";
import type { Point } from "../document/point";
import { rectAround, type Size } from "../document/rect";
import { TOOLS } from "../tools";
import type { Editor } from "../tools/editor";
import { Hand } from "../tools/hand";
import { LINE } from "../tools/reach";
import { reshapable } from "../tools/select/grip";
import { movedTogether } from "../tools/select/moving";
import type { ToolName } from "../tools/tool";
import type { AnnotationId, AnnotationView, Edit, Label, LabelId } from "../wire.gen";
import { Camera } from "./camera";
import { Inks } from "./ink";
import { type Layers, Painter } from "./painter";
import type { Photo } from "./photo";
import { ShapeIndex } from "./shape-index";
import type { View } from "./viewport";

/** From so many changed shapes on it is less work to draw all of them. */
const MANY = 200;

export interface StageEvents {
	commit(edit: Edit): void;
	view(view: View): void;
	cursor(cursor: string): void;
}

export class Stage implements Editor {
	readonly camera: Camera;
	readonly hand: Hand;
	readonly #painter: Painter;
	#document = new ImageDocument();
	#index = new ShapeIndex(this.#document);
	#forget = () => {};
	#editable = false;
	#inHand: ReadonlySet<AnnotationId> = new Set();
	activeLabel: LabelId | null = null;

	constructor(
		layers: Layers,
		private readonly events: StageEvents,
	) {
		this.camera = new Camera((view) => {
			this.#painter.turnTo(view);
			events.view(view);
		});
		this.hand = new Hand(this, TOOLS.select, () => this.#stepped());
		this.#painter = new Painter(layers, {
			within: (area) => this.#index.within(area),
			countWithin: (area) => this.#index.countWithin(area),
			get: (id) => this.#document.get(id),
			isInHand: (id) => this.#inHand.has(id),
			live: () => this.#live(),
		});
	}

	get document(): ImageDocument {
		return this.#document;
	}

	get picture(): Size {
		return this.camera.picture;
	}

	get pixel(): number {
		return this.camera.pixel;
	}

	get editable(): boolean {
		return this.#editable;
	}

	/** A gesture that may no longer end in an edit ends at once. */
	set editable(editable: boolean) {
		if (editable === this.#editable) return;
		this.#editable = editable;
		this.hand.cancel();
		this.#painter.touch();
	}

	/** All shapes are drawn as they are, at the present zoom. */
	get sharp(): boolean {
		return this.#painter.sharp;
	}

	/** Other shapes; what is drawn stays until they are. */
	open(document: ImageDocument): void {
		this.#forget();
		this.hand.cancel();
		this.#document = document;
		this.#index = new ShapeIndex(document);
		this.#forget = document.subscribe(({ shapes, selection }) => {
			if (shapes.length > 0) this.#refresh(shapes);
			if (selection) this.#painter.touch();
		});
		this.#painter.refreshAll();
	}

	/** Another picture: in full, and bare until its shapes are drawn. */
	turnTo(picture: Size): void {
		this.camera.show(picture);
		this.#painter.restart(picture);
	}

	resize(screen: Size, ratio: number): void {
		this.camera.resize(screen);
		this.#painter.resize(screen, ratio);
		this.#painter.turnTo(this.camera.view);
	}

	show(photo: Photo | null): void {
		this.#painter.show(photo);
	}

	label(labels: readonly Label[]): void {
		this.#painter.restyle(new Inks(labels));
	}

	take(tool: ToolName): void {
		if (this.hand.tool.name !== tool) this.hand.take(TOOLS[tool]);
		this.#stepped();
	}

	stop(): void {
		this.#forget();
		this.#painter.stop();
	}

	shapeAt(at: Point): AnnotationView | null {
		return this.#index.topmostAt(at, LINE * this.pixel);
	}

	shapesWithin(corner: Point, opposite: Point): AnnotationView[] {
		return this.#index.enclosedBy(rectAround([corner, opposite]));
	}

	commit(edit: Edit): void {
		this.events.commit(edit);
	}

	select(ids: Iterable<AnnotationId>): void {
		this.#document.select(ids);
	}

	deleteSelected(): boolean {
		const shapes = this.#changeable();
		if (shapes.length > 0) this.commit(edit(...shapes.map(({ id }) => remove(id))));
		return shapes.length > 0;
	}

	/** In pixels of the picture. */
	nudge(by: Point): boolean {
		const shapes = this.#changeable();
		const moved = movedTogether(shapes, by, this);
		const changed = moved.filter((shape, index) => shape.geometry !== shapes[index]?.geometry);
		if (changed.length > 0) this.commit(edit(...changed.map((shape) => put(shape.id, shape))));
		return shapes.length > 0;
	}

	#changeable(): AnnotationView[] {
		return this.#editable && !this.hand.busy ? this.#document.selected.filter((shape) => shape.editable) : [];
	}

	#refresh(ids: readonly AnnotationId[]): void {
		const before = ids.length <= MANY ? ids.map((id) => this.#index.placeOf(id)) : [];
		this.#index.refresh(ids);
		if (ids.length > MANY) {
			this.#painter.refreshAll();
			return;
		}
		for (const [index, id] of ids.entries()) {
			for (const place of [before[index], this.#index.placeOf(id)]) if (place) this.#painter.refresh(id, place);
		}
	}

	#stepped(): void {
		const before = this.#inHand;
		this.#inHand = new Set(this.hand.preview.inHand?.flatMap(({ id }) => id ?? []));
		for (const id of new Set([...before, ...this.#inHand])) {
			if (before.has(id) === this.#inHand.has(id)) continue;
			const place = this.#index.placeOf(id);
			if (place) this.#painter.refresh(id, place);
		}
		this.events.cursor(this.hand.cursor);
		this.#painter.touch();
	}

	#live() {
		const { inHand = [], sketch = null, marquee = null, hovered = null } = this.hand.preview;
		const shape = this.hand.tool.name === "select" ? reshapable(this) : null;
		const inHandNow = shape && inHand.find(({ id }) => id === shape.id);
		const selected = this.#document.selected.filter(({ id }) => !this.#inHand.has(id));
		const unselected = hovered !== null && !this.#document.selection.has(hovered);
		return {
			selected,
			hovered: unselected ? (this.#document.get(hovered) ?? null) : null,
			inHand,
			sketch,
			marquee,
			reshapable: inHandNow ?? shape,
		};
	}
}
