/**
 * Finds shapes by place. The bulk sits in a packed tree that cannot change; the few that have changed since stand
 * beside it in a list, until there are enough of them to pack the tree anew.
 */

import Flatbush from "flatbush";
import type { ImageDocument } from "../document";
import { bounds, touches } from "../document/geometry";
import type { Point } from "../document/point";
import { encloses, grown, overlap, type Rect } from "../document/rect";
import type { AnnotationId, AnnotationView } from "../wire.gen";

/** Looking through so many one by one still costs less than a twentieth of a frame. */
const LOOSE_AT_MOST = 256;

export class ShapeIndex {
	#tree: Flatbush | null = null;
	#packed: AnnotationView[] = [];
	/** Where each shape was when last looked at. */
	readonly #places = new Map<AnnotationId, Rect>();
	readonly #loose = new Set<AnnotationId>();

	constructor(private readonly document: ImageDocument) {
		this.#pack();
	}

	placeOf(id: AnnotationId): Rect | undefined {
		return this.#places.get(id);
	}

	/** Looks again at shapes that changed, came or went. */
	refresh(ids: readonly AnnotationId[]): void {
		for (const id of ids) this.#loose.add(id);
		if (this.#loose.size > LOOSE_AT_MOST) this.#pack();
		else for (const id of ids) this.#place(id);
	}

	/** In drawing order. */
	within(area: Rect): AnnotationView[] {
		// The tree was packed in drawing order, so its numbers sort into it.
		const found = Array.from(this.#hits(area).sort(), (index) => this.#packed[index] as AnnotationView);
		if (this.#loose.size === 0) return found;
		const packed = found.filter(({ id }) => !this.#loose.has(id));
		const loose = [...this.#loose].flatMap((id) => {
			const place = this.#places.get(id);
			return (place && overlap(place, area) && this.document.get(id)) || [];
		});
		if (loose.length === 0) return packed;
		const rank = (shape: AnnotationView) => this.document.rank(shape.id);
		return [...packed, ...loose].sort((a, b) => rank(a) - rank(b));
	}

	/** About as many as `within` would find, without finding them. */
	countWithin(area: Rect): number {
		return this.#hits(area).length + this.#loose.size;
	}

	#hits({ left, top, right, bottom }: Rect): Uint32Array {
		return Uint32Array.from(this.#tree?.search(left, top, right, bottom) ?? []);
	}

	enclosedBy(area: Rect): AnnotationView[] {
		return this.within(area).filter(({ id }) => {
			const place = this.#places.get(id);
			return place !== undefined && encloses(area, place);
		});
	}

	topmostAt(at: Point, reach: number): AnnotationView | null {
		const around = grown({ left: at[0], right: at[0], top: at[1], bottom: at[1] }, reach);
		return this.within(around).findLast(({ geometry }) => touches(geometry, at, reach)) ?? null;
	}

	#place(id: AnnotationId): void {
		const shape = this.document.get(id);
		const place = shape && bounds(shape.geometry);
		if (place) this.#places.set(id, place);
		else this.#places.delete(id);
	}

	#pack(): void {
		this.#loose.clear();
		this.#places.clear();
		for (const { id } of this.document.annotations) this.#place(id);
		this.#packed = this.document.annotations.filter(({ id }) => this.#places.has(id));
		this.#tree = this.#packed.length > 0 ? new Flatbush(this.#packed.length) : null;
		for (const { left, top, right, bottom } of this.#places.values()) this.#tree?.add(left, top, right, bottom);
		this.#tree?.finish();
	}
}
