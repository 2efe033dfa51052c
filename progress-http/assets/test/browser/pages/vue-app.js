// With Vue: the element, and the class in a component.

const Bar = {
  template: '<div id="place"></div>',
  mounted() {
    this.widget = new ProgressPolling(this.$el, 'by-class', {
      url: '/progress/by-class',
      pollInterval: 100,
    });
  },
  beforeUnmount() {
    this.widget.destroy();
  },
};

export const App = {
  components: { Bar },
  compilerOptions: { isCustomElement: (name) => name === 'progress-poller' },
  data: () => ({ edition: 0, shown: true }),
  template: `
    <main>
      <h1>Jobs {{ edition }}</h1>
      <template v-if="shown">
        <progress-poller url="/progress/by-element" poll-interval="100"></progress-poller>
        <Bar></Bar>
      </template>
    </main>`,
  mounted() {
    globalThis.app = { set: (change) => void Object.assign(this, change) };
  },
};
