// The library's entry points: RegisterCustomOps, which onnxruntime calls, and a question for the Python side.
#include <stdio.h>
#include <string.h>

#include <memory>
#include <mutex>
#include <vector>

#include "native/ort/isa.hpp"
#include "native/ort/kernel.hpp"

namespace i2f {
namespace {

const char kDomain[] = "inter2former";

// What onnxruntime keeps a pointer to for each op; lives as long as the library.
struct CustomOp : OrtCustomOp {
  const OpDefinition* op = nullptr;
};

// A kernel of a node together with what its calls need.
struct Node {
  const OrtApi* api;
  const OpDefinition* op;
  std::unique_ptr<Kernel> kernel;
};

const OpDefinition& definition(const OrtCustomOp* op) { return *static_cast<const CustomOp*>(op)->op; }
const Ports& ports(const OrtCustomOp* op) { return definition(op).ports; }

OrtStatus* status_of(const OrtApi* api, const char* message) { return OrtCreateStatus::get(api)(ORT_FAIL, message); }

// Runs `action`, turning whatever it throws into a status: no exception may cross the C boundary.
template <class Action>
OrtStatus* guarded(const OrtApi* api, const char* name, const Action& action) {
  try {
    action();
    return nullptr;
  } catch (const Error& error) {
    return status_of(api, error.message());
  } catch (const std::bad_alloc&) {
    char message[128];
    snprintf(message, sizeof(message), "inter2former::%s: out of memory", name);
    return status_of(api, message);
  } catch (...) {
    char message[128];
    snprintf(message, sizeof(message), "inter2former::%s: unexpected C++ exception", name);
    return status_of(api, message);
  }
}

OrtStatus* I2F_ORT_CALL create_kernel(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info, void** out) {
  const OpDefinition& wanted = definition(op);
  *out = nullptr;
  return guarded(api, wanted.name, [&] {
    std::unique_ptr<Kernel> kernel(wanted.create(KernelInfo(api, info, wanted)));
    *out = new Node{api, &wanted, std::move(kernel)};
  });
}

OrtStatus* I2F_ORT_CALL compute(void* node_pointer, OrtKernelContext* context) {
  const Node& node = *static_cast<const Node*>(node_pointer);
  return guarded(node.api, node.op->name, [&] {
    size_t inputs = 0;
    OrtStatus* status = OrtKernelContextGetInputCount::get(node.api)(context, &inputs);
    if (status != nullptr) OrtReleaseStatus::get(node.api)(status);
    if (status != nullptr || inputs != node.op->ports.input_count) {
      fail("inter2former::%s: has %zu inputs, expected %zu", node.op->name, inputs, node.op->ports.input_count);
    }
    node.kernel->compute(Context(node.api, context, *node.op));
  });
}

CustomOp custom_op(const OpDefinition* op) {
  CustomOp made = {};
  made.version = I2F_ORT_API_VERSION;
  made.op = op;
  made.GetName = [](const OrtCustomOp* self) { return definition(self).name; };
  made.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return "CPUExecutionProvider"; };
  made.GetInputType = [](const OrtCustomOp* self, size_t i) { return onnx_type(ports(self).inputs[i].element); };
  made.GetInputTypeCount = [](const OrtCustomOp* self) { return ports(self).input_count; };
  made.GetOutputType = [](const OrtCustomOp* self, size_t i) { return onnx_type(ports(self).outputs[i].element); };
  made.GetOutputTypeCount = [](const OrtCustomOp* self) { return ports(self).output_count; };
  made.KernelDestroy = [](void* node) { delete static_cast<Node*>(node); };
  made.GetInputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
  made.GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
  made.GetInputMemoryType = [](const OrtCustomOp*, size_t) { return OrtMemTypeDefault; };
  made.GetVariadicInputMinArity = [](const OrtCustomOp*) { return 0; };
  made.GetVariadicInputHomogeneity = [](const OrtCustomOp*) { return 0; };
  made.GetVariadicOutputMinArity = [](const OrtCustomOp*) { return 0; };
  made.GetVariadicOutputHomogeneity = [](const OrtCustomOp*) { return 0; };
  made.CreateKernelV2 = create_kernel;
  made.KernelComputeV2 = compute;
  made.GetStartVersion = [](const OrtCustomOp*) { return 1; };
  made.GetEndVersion = [](const OrtCustomOp*) { return 1; };
  return made;
}

// The domain object of one onnxruntime in this process and one instruction set. onnxruntime refers to it from every
// session that registered it, and later registrations reuse it. It is never released: at the end of the process
// onnxruntime, whose function would do that, may be gone already.
struct Domain {
  const OrtApi* api;
  const InstructionSet* set;
  OrtCustomOpDomain* domain;
  std::vector<CustomOp> ops;
};

void check_registration(const OrtApi* api, OrtStatus* status, const char* call) {
  if (status == nullptr) return;
  char cause[256];
  snprintf(cause, sizeof(cause), "%s", OrtGetErrorMessage::get(api)(status));
  OrtReleaseStatus::get(api)(status);
  fail("inter2former: onnxruntime's %s failed while the custom ops were registered: %s", call, cause);
}

OrtCustomOpDomain* domain_for(const OrtApi* api, const InstructionSet& set) {
  static std::mutex mutex;
  static std::vector<std::unique_ptr<Domain>>& domains = *new std::vector<std::unique_ptr<Domain>>();
  const std::lock_guard<std::mutex> lock(mutex);
  for (const std::unique_ptr<Domain>& known : domains) {
    if (known->api == api && known->set == &set) return known->domain;
  }
  std::unique_ptr<Domain> made(new Domain{api, &set, nullptr, {}});
  const OpTable table = set.ops();
  made->ops.reserve(table.count);
  for (size_t i = 0; i < table.count; ++i) made->ops.push_back(custom_op(table.ops[i]));
  check_registration(api, OrtCreateCustomOpDomain::get(api)(kDomain, &made->domain), "CreateCustomOpDomain");
  for (const CustomOp& op : made->ops) {
    check_registration(api, OrtCustomOpDomainAdd::get(api)(made->domain, &op), "CustomOpDomain_Add");
  }
  domains.push_back(std::move(made));
  return domains.back()->domain;
}

}  // namespace
}  // namespace i2f

extern "C" {

// Called by onnxruntime's register_custom_ops_library. Returns null on success.
I2F_EXPORT OrtStatus* I2F_ORT_CALL RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(I2F_ORT_API_VERSION);
  if (api == nullptr) {
    // An older onnxruntime. It still knows API version 1, whose first entry makes the status that says so.
    char message[256];
    snprintf(message, sizeof(message), "inter2former: this custom-op library needs onnxruntime 1.17 or newer, found %s",
             base->GetVersionString != nullptr ? base->GetVersionString() : "an unknown version");
    const OrtApi* oldest = base->GetApi(1);
    if (oldest != nullptr) return i2f::status_of(oldest, message);
    // Without any API no status can be made, and a null one means success: say it where it can be seen.
    fprintf(stderr, "%s\n", message);
    return nullptr;
  }
  return i2f::guarded(api, "RegisterCustomOps", [&] {
    OrtCustomOpDomain* domain = i2f::domain_for(api, i2f::chosen_instruction_set());
    i2f::check_registration(api, i2f::OrtAddCustomOpDomain::get(api)(options, domain), "AddCustomOpDomain");
  });
}

// Writes the name of the instruction set that a registration would use now into `out` and returns 0, or the reason why
// none can be used and returns 1. The text is cut to `size` bytes including its end.
I2F_EXPORT int inter2former_instruction_set(char* out, size_t size) {
  try {
    snprintf(out, size, "%s", i2f::chosen_instruction_set().name);
    return 0;
  } catch (const i2f::Error& error) {
    snprintf(out, size, "%s", error.message());
    return 1;
  }
}

}  // extern "C"
