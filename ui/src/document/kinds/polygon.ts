import { plus, tidy } from "../point";
import type { GeometryOf, Kind } from "./kind";
import {
	inside,
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

type Polygon = GeometryOf<"polygon">;

export const polygon: Kind<Polygon> = {
	bounds: ({ rings }) => linesBounds(rings),
	touches: ({ rings }, at, reach) => inside(rings, at) || nearLines(rings, true, at, reach),
	moved: (shape, by) => ({ ...shape, rings: linesMoved(shape.rings, (point) => tidy(plus(point, by))) }),
	handles: ({ rings }) => vertexHandles(rings),
	withHandleAt: (shape, handle, to) => ({ ...shape, rings: withVertexAt(shape.rings, handle, tidy(to)) }),
	nearestEdge: ({ rings }, at) => nearestEdge(rings, true, at),
	withVertex: (shape, { after, at }) => ({ ...shape, rings: withVertexAfter(shape.rings, after, tidy(at)) }),
	withoutVertex(shape, handle) {
		const rings = soundRings(withoutVertex(shape.rings, handle));
		return rings && { ...shape, rings };
	},
};
