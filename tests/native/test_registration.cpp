// Registration: versions of onnxruntime, the choice of the instruction set, errors.
#include <cstdlib>
#include <memory>

#include "harness.hpp"

using harness::expect;

namespace {

std::string register_with(const OrtApiBase* base, OrtSessionOptions* options) {
  const std::unique_ptr<OrtStatus> status(RegisterCustomOps(options, base));
  return status == nullptr ? "" : status->message;
}

}  // namespace

I2F_TEST(registration_twice) {
  OrtSessionOptions first;
  OrtSessionOptions second;
  expect(register_with(fake_ort::api_base(), &first).empty(), "first registration");
  expect(register_with(fake_ort::api_base(), &second).empty(), "second registration");
  expect(first.domains.size() == 1 && second.domains.size() == 1, "one domain each");
  expect(first.domains == second.domains, "the domain is made once");
  expect(first.domains.at(0)->name == "inter2former", "the domain's name");
  for (const OrtCustomOp* op : first.domains.at(0)->ops) {
    const std::string name = op->GetName(op);
    expect(op->version == I2F_ORT_API_VERSION, name + ": version");
    expect(op->GetStartVersion(op) == 1 && op->GetEndVersion(op) == 1, name + ": op version 1");
    expect(op->GetInputTypeCount(op) > 0 && op->GetOutputTypeCount(op) > 0, name + ": inputs and outputs");
    expect(std::string(op->GetExecutionProviderType(op)) == "CPUExecutionProvider", name + ": provider");
  }
}

I2F_TEST(registration_old_onnxruntime) {
  OrtSessionOptions options;
  const std::string error = register_with(fake_ort::old_api_base(), &options);
  expect(error.find("needs onnxruntime 1.17 or newer, found 0.0.fake") != std::string::npos, "old: " + error);
  expect(options.domains.empty(), "old: nothing registered");
  // Nothing to make a status with: it says so on stderr and registers nothing.
  expect(register_with(fake_ort::empty_api_base(), &options).empty() && options.domains.empty(), "no API at all");
}

I2F_TEST(registration_unknown_instruction_set) {
#if !defined(_WIN32)
  const std::string before = std::getenv("INTER2FORMER_ISA");
  setenv("INTER2FORMER_ISA", "mmx", 1);
  OrtSessionOptions options;
  const std::string error = register_with(fake_ort::api_base(), &options);
  expect(error.find("INTER2FORMER_ISA=mmx: this library has kernels for ") != std::string::npos, error);
  expect(options.domains.empty(), "nothing registered");
  setenv("INTER2FORMER_ISA", "", 1);
  expect(register_with(fake_ort::api_base(), &options).empty(), "empty: the best one");
  setenv("INTER2FORMER_ISA", before.c_str(), 1);
#endif
}
