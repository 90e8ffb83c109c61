import { mount } from "svelte";
import App from "./App.svelte";
import { connect } from "./backend/connect";
import { theme } from "./theme/theme.svelte";
import "./theme/tokens.css";
import "./theme/base.css";
import "./theme/dialog.css";

const target = document.getElementById("app");
if (!target) throw new Error("index.html has the element");

theme.recall();
mount(App, { target, props: { backend: await connect() } });
