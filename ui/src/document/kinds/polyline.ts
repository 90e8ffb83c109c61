import { plus, tidy } from "../point";
import type { GeometryOf, Kind } from "./kind";
import {
	type Line,
	linesBounds,
	linesMoved,
	nearestEdge,
	nearLines,
	vertexHandles,
	withoutVertex,
	withVertexAfter,
	withVertexAt,
} from "./lines";

type Polyline = GeometryOf<"polyline">;

const withLines = (shape: Polyline, lines: Line[]): Polyline => ({ ...shape, points: lines[0] as Line });

export const polyline: Kind<Polyline> = {
	bounds: ({ points }) => linesBounds([points]),
	touches: ({ points }, at, reach) => nearLines([points], false, at, reach),
	moved: (shape, by) =>
		withLines(
			shape,
			linesMoved([shape.points], (point) => tidy(plus(point, by))),
		),
	handles: ({ points }) => vertexHandles([points]),
	withHandleAt: (shape, handle, to) => withLines(shape, withVertexAt([shape.points], handle, tidy(to))),
	nearestEdge: ({ points }, at) => nearestEdge([points], false, at),
	withVertex: (shape, { after, at }) => withLines(shape, withVertexAfter([shape.points], after, tidy(at))),
	withoutVertex: (shape, handle) =>
		shape.points.length > 2 ? withLines(shape, withoutVertex([shape.points], handle)) : null,
};
