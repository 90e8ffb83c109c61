import { plus, tidy } from "../point";
import type { GeometryOf, Kind } from "./kind";
import {
	inside,
	type Line,
	linesBounds,
	linesMoved,
	nearestEdge,
	nearLines,
	soundRings,
	vertexHandles,
	withoutVertex,
	withVertexAfter,
	withVertexAt,
} from "./lines";

type Multipolygon = GeometryOf<"multipolygon">;

const rings = ({ polygons }: Multipolygon): Line[] => polygons.flat();

/** The parts again, from as many rings in the same order. */
function parts(shape: Multipolygon, from: Line[]): Line[][] {
	const ring = from.values();
	return shape.polygons.map((part) => part.map(() => ring.next().value as Line));
}

const withRings = (shape: Multipolygon, to: Line[]): Multipolygon => ({ ...shape, polygons: parts(shape, to) });

export const multipolygon: Kind<Multipolygon> = {
	bounds: (shape) => linesBounds(rings(shape)),
	touches: (shape, at, reach) => shape.polygons.some((part) => inside(part, at) || nearLines(part, true, at, reach)),
	moved: (shape, by) =>
		withRings(
			shape,
			linesMoved(rings(shape), (point) => tidy(plus(point, by))),
		),
	handles: (shape) => vertexHandles(rings(shape)),
	withHandleAt: (shape, handle, to) => withRings(shape, withVertexAt(rings(shape), handle, tidy(to))),
	nearestEdge: (shape, at) => nearestEdge(rings(shape), true, at),
	withVertex: (shape, { after, at }) => withRings(shape, withVertexAfter(rings(shape), after, tidy(at))),
	withoutVertex(shape, handle) {
		// A part whose outer ring falls apart goes as a whole; its holes would hang in the air.
		const polygons = parts(shape, withoutVertex(rings(shape), handle))
			.map(soundRings)
			.filter((part) => part !== null);
		return polygons.length > 0 ? { ...shape, polygons } : null;
	},
};
