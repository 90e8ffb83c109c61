import { type Point, plus, rotated, tidy } from "../point";
import type { GeometryOf, Kind } from "./kind";
import { inFrame, type Turned, turnedHandles, withTurnedHandleAt } from "./turned";

type Ellipse = GeometryOf<"ellipse">;

const turned = ({ cx, cy, rx, ry, angle }: Ellipse): Turned => ({
	centre: [cx, cy],
	halfWidth: rx,
	halfHeight: ry,
	angle,
});

export const ellipse: Kind<Ellipse> = {
	bounds({ cx, cy, rx, ry, angle }) {
		const [cos, sin] = rotated([1, 0], [0, 0], angle);
		const [halfWidth, halfHeight] = [Math.hypot(rx * cos, ry * sin), Math.hypot(rx * sin, ry * cos)];
		return { left: cx - halfWidth, right: cx + halfWidth, top: cy - halfHeight, bottom: cy + halfHeight };
	},
	touches(geometry, at, reach) {
		const [x, y] = inFrame(turned(geometry), at);
		return Math.hypot((x - geometry.cx) / (geometry.rx + reach), (y - geometry.cy) / (geometry.ry + reach)) <= 1;
	},
	moved(geometry, by) {
		const [cx, cy]: Point = tidy(plus([geometry.cx, geometry.cy], by));
		return { ...geometry, cx, cy };
	},
	handles: (geometry, pixel) => turnedHandles(turned(geometry), pixel),
	withHandleAt(geometry, handle, to, keep) {
		const { centre, halfWidth, halfHeight, angle } = withTurnedHandleAt(turned(geometry), handle, to, keep);
		return { ...geometry, cx: centre[0], cy: centre[1], rx: halfWidth, ry: halfHeight, angle };
	},
};
